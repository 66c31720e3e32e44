# %% [markdown]
# # lab_scanner
