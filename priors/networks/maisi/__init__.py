"""MAISI's networks, which come with the library MONAI."""
