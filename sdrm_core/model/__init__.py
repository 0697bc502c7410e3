"""The MultiVAE, the diffusion model in its latent space, and the draw of items."""
