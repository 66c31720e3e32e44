"""The networks of HA-GAN: a generator of whole volumes, its discriminator, and the encoders that train beside it."""
