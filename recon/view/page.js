"use strict";
// Shows the listed volumes with NiiVue: one image at a time, its planes linked, another one laid over it in colours.
(async () => {
  const byId = (id) => document.getElementById(id);
  const listed = JSON.parse(document.body.dataset.volumes);
  const image = byId("image"), overlay = byId("overlay"), opacity = byId("opacity"), layout = byId("layout");
  listed.forEach(({ label, overlay: isOverlay }, number) => {
    if (!isOverlay) image.add(new Option(label, number));
    overlay.add(new Option(label, number));
  });
  if (image.options.length === 0) listed.forEach(({ label }, number) => image.add(new Option(label, number)));

  const { Niivue, DRAG_MODE, SHOW_RENDER } = niivue;
  const view = new Niivue({
    backColor: [0, 0, 0, 1],
    dragMode: DRAG_MODE.contrast, // drag with the right button: a window of what the rectangle holds
    multiplanarShowRender: SHOW_RENDER.ALWAYS,
    isRadiologicalConvention: true,
    isNearestInterpolation: true,
    show3Dcrosshair: true,
    crosshairWidthUnit: "percent", // of the volume's extent: seen on fine voxels, and no thick lines on coarse ones
    crosshairWidth: 0.35,
    crosshairColor: [1, 0.82, 0.4, 0.8],
    loadingText: "",
    onLocationChange: ({ mm, values }) => { byId("place").textContent = described(mm, values); },
    onIntensityChange: () => showWindow(),
  });
  await view.attachToCanvas(byId("canvas"));

  const number = (value) => String(Number(value.toPrecision(4))).replace("-", "−");
  // Where the crosshair is from the patient's point of view, and what the volumes hold there.
  function described(mm, values) {
    const sides = ["RL", "AP", "SI"].map((pair, axis) => `${pair[mm[axis] < 0 ? 1 : 0]} ${Math.abs(mm[axis]).toFixed(1)}`);
    const held = view.volumes.map(({ name }, place) => {
      const value = values[place] && values[place].value;
      return typeof value === "number" ? ` · ${name.replace(/\.nii(\.gz)?$/, "")} ${number(value)}` : "";
    });
    return `${sides.join("  ")} mm${held.join("")}`;
  }
  function showWindow() {
    const first = view.volumes[0];
    if (first) byId("window").textContent = `window ${number(first.cal_min)} to ${number(first.cal_max)}`;
  }

  let busy = false, again = false;
  async function load() {
    if (busy) { again = true; return; }
    busy = true;
    const chosen = [Number(image.value)];
    if (overlay.value !== "" && overlay.value !== image.value) chosen.push(Number(overlay.value));
    await view.loadVolumes(chosen.map((each, place) => {
      const { url, label, window: limits } = listed[each];
      const known = limits && place === 0 ? { cal_min: limits[0], cal_max: limits[1] } : {};
      return { url, name: label + (url.endsWith(".gz") ? ".nii.gz" : ".nii"), colormap: place ? "warm" : "gray",
        opacity: place ? Number(opacity.value) : 1, ...known };
    }));
    showWindow();
    if (byId("place").textContent.startsWith("Loading")) byId("place").textContent = "Click or drag in a plane to move the crosshair.";
    document.documentElement.dataset.shown = chosen.join();
    busy = false;
    if (again) { again = false; await load(); }
  }

  function flip() {
    image.selectedIndex = (image.selectedIndex + 1) % image.options.length;
    load();
  }
  const layouts = { multi: "sliceTypeMultiplanar", axial: "sliceTypeAxial", coronal: "sliceTypeCoronal",
    sagittal: "sliceTypeSagittal", render: "sliceTypeRender" };
  image.addEventListener("change", load);
  overlay.addEventListener("change", load);
  opacity.addEventListener("input", () => { if (view.volumes.length > 1) view.setOpacity(1, Number(opacity.value)); });
  layout.addEventListener("change", () => view.setSliceType(view[layouts[layout.value]]));
  byId("flip").addEventListener("click", flip);
  document.addEventListener("keydown", (event) => {
    if (event.key.toLowerCase() === "f" && !event.ctrlKey && !event.metaKey && !event.altKey) flip();
  });
  await load();
})().catch((error) => {
  document.getElementById("place").textContent = `The volumes cannot be shown: ${error.message}`;
  document.documentElement.dataset.failed = "yes";
});
