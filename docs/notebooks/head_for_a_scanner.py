# %% [markdown]
# # head_for_a_scanner
