"""Every network with its configuration, and what their forward passes share."""
