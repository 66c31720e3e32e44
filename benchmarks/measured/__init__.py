"""Methods on measured scans, and on scans simulated of finer objects, each scored by what its data allow."""
