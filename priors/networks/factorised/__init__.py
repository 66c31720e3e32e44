"""Parts of the U-Nets that treat a volume slice by slice, and the axis through the slices apart from that."""
