/* mp-elf.c — SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "mp-glib/platform/mp-elf-private.h"

#include <elf.h>
#include <link.h>
#include <string.h>

#define MAX_BUILD_ID 64

typedef struct
{
  gconstpointer  address;
  const char    *key;
  guint64        offset;
  gsize          size;

  char          *found_key;      /* (owned) */
  guint64        found_offset;
  gconstpointer  found_address;
  gboolean       known;
} Search;

static gsize
align_up (gsize value, gsize alignment)
{
  return (value + alignment - 1) & ~(alignment - 1);
}

static char *
build_id_of_notes (const guint8 *notes, gsize size, gsize alignment)
{
  gsize at = 0;

  while (at + sizeof (ElfW(Nhdr)) <= size)
    {
      const ElfW(Nhdr) *note = (gconstpointer) (notes + at);
      gsize name = at + sizeof *note;
      gsize desc = name + align_up (note->n_namesz, alignment);

      if (desc > size || note->n_descsz > size - desc)
        break;
      if (note->n_type == NT_GNU_BUILD_ID && note->n_namesz == 4 && memcmp (notes + name, "GNU", 4) == 0 &&
          note->n_descsz > 0 && note->n_descsz <= MAX_BUILD_ID)
        {
          GString *text = g_string_new (NULL);

          for (gsize i = 0; i < note->n_descsz; i++)
            g_string_append_printf (text, "%02x", notes[desc + i]);
          return g_string_free (text, FALSE);
        }
      at = desc + align_up (note->n_descsz, alignment);
    }
  return NULL;
}

static char *
object_key (const struct dl_phdr_info *info)
{
  g_autofree char *base = NULL;
  g_autofree char *escaped = NULL;
  guint64 size = 0;

  for (guint i = 0; i < info->dlpi_phnum; i++)
    {
      const ElfW(Phdr) *header = &info->dlpi_phdr[i];
      char *id;

      if (header->p_type == PT_LOAD)
        size += header->p_memsz;
      if (header->p_type != PT_NOTE)
        continue;
      id = build_id_of_notes ((const guint8 *) (info->dlpi_addr + header->p_vaddr), header->p_memsz,
                              header->p_align == 8 ? 8 : 4);
      if (id != NULL)
        return id;
    }
  /* The program itself has an empty name here, whatever its file is called. */
  base = info->dlpi_name == NULL || *info->dlpi_name == '\0' ? g_strdup ("") : g_path_get_basename (info->dlpi_name);
  escaped = g_uri_escape_string (base, NULL, FALSE);
  return g_strdup_printf ("=%s~%" G_GINT64_MODIFIER "x", escaped, size);
}

/* The loadable segment that holds all of [offset, offset + size). */
static gboolean
object_holds (const struct dl_phdr_info *info, guint64 offset, gsize size)
{
  for (guint i = 0; i < info->dlpi_phnum; i++)
    {
      const ElfW(Phdr) *header = &info->dlpi_phdr[i];

      if (header->p_type == PT_LOAD && (header->p_flags & PF_R) != 0 && offset >= header->p_vaddr &&
          offset - header->p_vaddr <= header->p_memsz && size <= header->p_memsz - (offset - header->p_vaddr))
        return TRUE;
    }
  return FALSE;
}

static int
locate_cb (struct dl_phdr_info *info, size_t size, void *data)
{
  Search *search = data;
  guint64 offset = (guintptr) search->address - info->dlpi_addr;

  if (!object_holds (info, offset, 1))
    return 0;
  search->found_key = object_key (info);
  search->found_offset = offset;
  return 1;
}

static int
resolve_cb (struct dl_phdr_info *info, size_t size, void *data)
{
  Search *search = data;
  g_autofree char *key = object_key (info);

  if (strcmp (key, search->key) != 0)
    return 0;
  search->known = TRUE;
  if (object_holds (info, search->offset, search->size))
    search->found_address = (gconstpointer) (guintptr) (info->dlpi_addr + search->offset);
  return 1;
}

gboolean
mp_platform_locate (gconstpointer   address,
                    char          **key,
                    guint64        *offset)
{
  Search search = { .address = address };

  if (dl_iterate_phdr (locate_cb, &search) == 0)
    return FALSE;
  *key = search.found_key;
  *offset = search.found_offset;
  return TRUE;
}

gconstpointer
mp_platform_resolve (const char *key,
                     guint64     offset,
                     gsize       size,
                     gboolean   *known)
{
  Search search = { .key = key, .offset = offset, .size = size };

  dl_iterate_phdr (resolve_cb, &search);
  *known = search.known;
  return search.found_address;
}
