# %% [markdown]
# # own_method
