#!/usr/bin/env python3
# pool-fetch.py — SPDX-License-Identifier: LGPL-2.1-or-later
"""A map over texts."""

from gi.repository import Mp


def fetch_url(url):
    return f'fetched: {url}'


if __name__ == '__main__':
    urls = ['a.com', 'b.com', 'c.com', 'd.com']
    with Mp.Pool(4) as pool:
        results = pool.map(fetch_url, urls)
    for r in results:
        print(r)
