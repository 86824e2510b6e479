#!/usr/bin/env python3
# pool-initializer.py — SPDX-License-Identifier: LGPL-2.1-or-later
"""An initializer prepares each worker once."""

from gi.repository import Mp

scheme = None


def set_scheme(value):
    global scheme
    scheme = value


def fetch_url(url):
    return f'fetched: {scheme}://{url}'


if __name__ == '__main__':
    urls = ['a.com', 'b.com', 'c.com', 'd.com']
    with Mp.Pool(4, initializer=set_scheme, initargs=('https',)) as pool:
        for r in pool.map(fetch_url, urls):
            print(r)
    print('in the program itself:', scheme or 'not set')
