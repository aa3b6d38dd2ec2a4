# The frozen ABI: headers of releases, offsets, exported symbols.
