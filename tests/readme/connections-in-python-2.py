import socket
import ssl
import subprocess
import sys
import threading

from gi.repository import Gio, Mp


def connect(key):
    @README@


if __name__ == '__main__':
    # There are no such files here: that is found out in the first line.
    try:
        connect(b'secret')
    except Exception as error:
        assert 'ours.pem' in str(error), error
    else:
        raise AssertionError('there is /etc/ssl/ours.pem')
