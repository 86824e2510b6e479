"""usage: overridesdir.py PREFIX: prints where an installation under PREFIX puts overrides so that PyGObject finds them."""
import os
import site
import sys
import sysconfig

import gi

prefix = sys.argv[1]
subfolder = os.path.join('gi', 'overrides')
places = [gi._overridesdir, *(os.path.join(place, subfolder) for place in site.getsitepackages())]
fallback = os.path.join(sysconfig.get_path('purelib', 'posix_prefix', {'base': prefix}), subfolder)
print(next((place for place in places if os.path.commonpath([place, prefix]) == prefix), fallback))
