"use strict";
// Slices of data, model and residual under one slider. A mosaic holds all slices of an image, row by row.
(function () {
  const source = document.getElementById("slice-content");
  if (!source) return;
  const content = JSON.parse(source.textContent);
  const [nz, ny, nx] = content.shape, [dy, dx] = content.size;
  const slider = document.getElementById("slice"), at = document.getElementById("slice-at");
  const line = document.getElementById("slice-line");
  const zoom = Math.max(1, Math.round(720 / Math.max(nx, (ny * dy) / dx)));
  const width = nx * zoom, height = Math.round(((ny * dy) / dx) * zoom);
  const panels = ["data", "model", "residual"].map((name) => {
    const canvas = document.getElementById("slice-" + name), image = new Image();
    canvas.width = width;
    canvas.height = height;
    image.onload = draw;
    image.src = "data:image/png;base64," + content[name];
    return { name, image, context: canvas.getContext("2d") };
  });

  function trace(context, k) {
    context.strokeStyle = "#E69F00";
    context.lineWidth = Math.max(1.5, width / 260);
    for (const path of content.lines[k]) {
      context.beginPath();
      for (let i = 0; i < path.length; i += 2) {
        const x = (path[i] / nx) * width, y = (path[i + 1] / ny) * height;
        if (i) context.lineTo(x, y);
        else context.moveTo(x, y);
      }
      context.stroke();
    }
  }

  function draw() {
    const k = Number(slider.value);
    at.textContent = (k + 1) + " of " + nz + ", z = " + content.places[k].toFixed(2) + " µm";
    const left = (k % content.columns) * nx, top = Math.floor(k / content.columns) * ny;
    for (const { name, image, context } of panels) {
      if (!image.complete) continue;
      context.imageSmoothingEnabled = false;
      context.drawImage(image, left, top, nx, ny, 0, 0, width, height);
      if (name === "data" && line.checked) trace(context, k);
    }
  }

  slider.max = nz - 1;
  slider.value = content.first;
  slider.addEventListener("input", draw);
  line.addEventListener("change", draw);
  draw();
})();
