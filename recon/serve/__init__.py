"""Servers: reconstructions asked for over a socket, in the ISMRMRD protocol of scanners or over HTTP."""
