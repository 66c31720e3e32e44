# %% [markdown]
# # multi_coil
