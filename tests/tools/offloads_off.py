"""offloads_off.py INTERFACE: no unfinished checksums and no large frames from it (ethtool -K IF tx off tso off gso off gro off)."""
import ctypes
import fcntl
import socket
import struct
import sys

SIOCETHTOOL = 0x8946
SETTINGS = {"tso": 0x1F, "gso": 0x24, "gro": 0x2C, "tx": 0x17}  # ETHTOOL_STSO, SGSO, SGRO, STXCSUM


def main():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        for name, command in SETTINGS.items():
            value = ctypes.create_string_buffer(struct.pack("II", command, 0), 8)
            request = struct.pack("16sP16x", sys.argv[1].encode(), ctypes.addressof(value))
            try:
                fcntl.ioctl(s, SIOCETHTOOL, request)
            except OSError as e:
                sys.exit("%s: %s off: %s" % (sys.argv[1], name, e))


main()
