# shellcheck shell=sh
# Sourced by tests/run.sh and examples/run.sh: installs what a build needs and lacks. Nothing is looked up by package
# name, so that what came from elsewhere counts too, and apt is not run at all when nothing is missing.

missing=

# want PACKAGES COMMAND...: the packages are missing if the command fails
want () {
  packages=$1
  shift
  "$@" >/dev/null 2>&1 || missing="$missing $packages"
}

compiles () {
  echo '#include <stdio.h>' | cc -E - || echo '#include <stdio.h>' | gcc -E -
}

# The python3 found first need not be the one that PyGObject was installed for.
python_with_gi () {
  for candidate in python3 /usr/bin/python3; do
    if "$candidate" -c 'import gi; gi.require_version ("Gio", "2.0")' >/dev/null 2>&1; then
      echo "$candidate"
      return 0
    fi
  done
  return 1
}

# A backend of TLS for GIO.
gio_has_tls () {
  modules=$(pkg-config --variable=giomoduledir gio-2.0) && \
    { [ -e "$modules/libgiognutls.so" ] || [ -e "$modules/libgioopenssl.so" ]; }
}

want_for_building () {
  want libc6-dev compiles
  want pkg-config pkg-config --version
  want meson meson --version
  want ninja-build ninja --version
  want libglib2.0-dev pkg-config --atleast-version=2.74 gio-unix-2.0
}

want_for_tls () {
  want glib-networking gio_has_tls
  want openssl openssl version
}

want_for_all_languages () {
  want libgirepository1.0-dev pkg-config --atleast-version=1.74 gobject-introspection-1.0
  want gobject-introspection g-ir-scanner --version
  want 'python3-gi gir1.2-glib-2.0' python_with_gi
  want python3-numpy /usr/bin/python3 -c 'import numpy'
  want gjs gjs --version
  want valac valac --version
  want valac vapigen --version
  want gi-docgen gi-docgen --version
}

as_root () {
  if [ "$(id -u)" -eq 0 ]; then
    env DEBIAN_FRONTEND=noninteractive "$@"
  elif command -v sudo >/dev/null 2>&1; then
    sudo env DEBIAN_FRONTEND=noninteractive "$@"
  else
    return 1
  fi
}

install_missing () {
  [ -n "$missing" ] || return 0
  echo "Installing:$missing" >&2
  # shellcheck disable=SC2086
  if command -v apt-get >/dev/null 2>&1 && \
     { as_root apt-get install -y --no-install-recommends $missing >&2 || \
       { as_root apt-get update >&2 && as_root apt-get install -y --no-install-recommends $missing >&2; }; }; then
    missing=
    hash -r
    return 0
  fi
  echo "Please install these packages (names as in Debian) and try again:$missing" >&2
  return 1
}

# Where Debian has its libraries Meson asks dpkg-architecture, which need not be there; without it, it takes lib64, where
# neither the linker nor pkg-config looks.
debian_libdir () {
  [ -e /etc/debian_version ] && ! command -v dpkg-architecture >/dev/null 2>&1 || return 0
  multiarch=$(cc -print-multiarch 2>/dev/null || gcc -print-multiarch 2>/dev/null) || return 0
  [ -z "$multiarch" ] || echo "--libdir=lib/$multiarch"
}

# configure DIR OPTIONS...: a build directory that is there is configured again, since there may be more to build with;
# one that was made elsewhere, or is damaged, is made anew.
configure () {
  directory=$1
  shift
  if [ -f "$directory/build.ninja" ] && meson setup --reconfigure "$directory" "$@"; then
    return 0
  fi
  rm -rf "$directory"
  # shellcheck disable=SC2046
  meson setup "$directory" $(debian_libdir) "$@"
}
