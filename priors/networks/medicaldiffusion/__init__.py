"""Medical Diffusion (Khader et al. 2022): a VQ-GAN of volumes and a factorised U-Net for the noise of its latents."""
