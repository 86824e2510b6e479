import sys

from gi.repository import Mp

try:
    import numpy
except ImportError:
    sys.exit(77)   # skipped


if __name__ == '__main__':
    @README@
    numbers[999] = 0.5
    assert counter.value == 2
    assert array[999] == 0.5 and len(array) == 1000
