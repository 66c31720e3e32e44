"""A local page that shows volumes with NiiVue, which lies here as its npm package has it: no network is used."""
