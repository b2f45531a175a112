"use strict";
// The surface turning in 3D: plain WebGL 1. Mesh coordinates are (x, y, z) µm, centred; on the screen x runs to the
// right, y down and z away from the viewer, as in an image, before the view is turned.
(function () {
  const view = document.getElementById("view");
  const canvas = view.querySelector("canvas");
  const data = JSON.parse(document.getElementById("surface-data").textContent);
  const gl = canvas.getContext("webgl", { antialias: true, alpha: false });
  if (!gl) return; // the picture stays

  function bytes(text) {
    const raw = atob(text), out = new Uint8Array(raw.length);
    for (let i = 0; i < raw.length; i++) out[i] = raw.charCodeAt(i);
    return out.buffer;
  }
  const load = (part) => ({ points: new Float32Array(bytes(part.points)), faces: new Uint32Array(bytes(part.faces)) });

  function normals(points, faces) {
    const out = new Float32Array(points.length);
    for (let f = 0; f < faces.length; f += 3) {
      const a = 3 * faces[f], b = 3 * faces[f + 1], c = 3 * faces[f + 2];
      const u = [0, 1, 2].map((k) => points[b + k] - points[a + k]);
      const v = [0, 1, 2].map((k) => points[c + k] - points[a + k]);
      const n = [u[1] * v[2] - u[2] * v[1], u[2] * v[0] - u[0] * v[2], u[0] * v[1] - u[1] * v[0]];
      for (const p of [a, b, c]) for (let k = 0; k < 3; k++) out[p + k] += n[k];
    }
    return out;
  }

  function edges(faces) {
    const out = [];
    for (let f = 0; f < faces.length; f += 3)
      for (let k = 0; k < 3; k++) {
        const a = faces[f + k], b = faces[f + ((k + 1) % 3)];
        if (a < b) out.push(a, b); // a closed surface names each edge once in each direction
      }
    return new Uint32Array(out);
  }

  function shader(kind, source) {
    const made = gl.createShader(kind);
    gl.shaderSource(made, source);
    gl.compileShader(made);
    return made;
  }
  const program = gl.createProgram();
  gl.attachShader(program, shader(gl.VERTEX_SHADER, `
    attribute vec3 place, normal, colour;
    uniform mat3 turn; uniform vec2 scale; uniform float depth;
    varying vec3 n; varying vec3 c;
    void main() {
      vec3 p = turn * place;
      n = turn * normal; c = colour;
      gl_Position = vec4(p.x * scale.x, -p.y * scale.y, p.z * depth, 1.0);
    }`));
  gl.attachShader(program, shader(gl.FRAGMENT_SHADER, `
    precision mediump float;
    varying vec3 n; varying vec3 c;
    uniform vec4 flatColour;
    void main() {
      if (flatColour.a > 0.0) { gl_FragColor = flatColour; return; }
      vec3 m = normalize(n);
      if (m.z > 0.0) m = -m;
      float key = max(dot(m, normalize(vec3(-0.45, -0.6, -0.75))), 0.0);
      float fill = max(dot(m, vec3(0.0, 0.0, -1.0)), 0.0);
      float shine = pow(max(dot(reflect(normalize(vec3(0.45, 0.6, 0.75)), m), vec3(0.0, 0.0, -1.0)), 0.0), 24.0);
      gl_FragColor = vec4(c * (0.28 + 0.5 * key + 0.3 * fill) + 0.12 * shine, 1.0);
    }`));
  gl.linkProgram(program);
  const wide = gl.getExtension("OES_element_index_uint");
  if (!gl.getProgramParameter(program, gl.LINK_STATUS)) return;
  gl.useProgram(program);
  const at = (name) => gl.getUniformLocation(program, name);
  const where = { turn: at("turn"), scale: at("scale"), depth: at("depth"), flat: at("flatColour") };

  function buffer(target, array) {
    const made = gl.createBuffer();
    gl.bindBuffer(target, made);
    gl.bufferData(target, array, gl.STATIC_DRAW);
    return made;
  }
  function indices(array, count) {
    const small = count <= 65536;
    const made = buffer(gl.ELEMENT_ARRAY_BUFFER, small ? new Uint16Array(array) : array);
    return { buffer: made, count: array.length, kind: small ? gl.UNSIGNED_SHORT : gl.UNSIGNED_INT };
  }

  const surface = load(data.fit);
  const count = surface.points.length / 3;
  if (count > 65536 && !wide) return;
  const drawn = {
    points: buffer(gl.ARRAY_BUFFER, surface.points),
    normals: buffer(gl.ARRAY_BUFFER, normals(surface.points, surface.faces)),
    colours: buffer(gl.ARRAY_BUFFER, new Uint8Array(bytes(data.fit.colours))),
    faces: indices(surface.faces, count),
    edges: indices(edges(surface.faces), count),
  };
  let truth = null;
  if (data.truth) {
    const other = load(data.truth), n = other.points.length / 3;
    if (n <= 65536 || wide)
      truth = { points: buffer(gl.ARRAY_BUFFER, other.points), edges: indices(edges(other.faces), n) };
  }

  let yaw = data.yaw, tilt = data.tilt, zoom = 1, last = 0;
  const box = (id) => document.getElementById(id);
  const still = window.matchMedia && window.matchMedia("(prefers-reduced-motion: reduce)").matches;
  box("turning").checked = !still;

  function rotation() { // rows right, down, away; the same as the picture's
    const cy = Math.cos(yaw), sy = Math.sin(yaw), ct = Math.cos(tilt), st = Math.sin(tilt);
    return [[cy, -sy, 0], [ct * sy, ct * cy, -st], [st * sy, st * cy, ct]];
  }
  function attribute(name, source, kind, normalised) {
    const place = gl.getAttribLocation(program, name);
    if (place < 0) return;
    if (!source) { gl.disableVertexAttribArray(place); return; }
    gl.bindBuffer(gl.ARRAY_BUFFER, source);
    gl.enableVertexAttribArray(place);
    gl.vertexAttribPointer(place, 3, kind, normalised, 0, 0);
  }
  function lines(points, part, colour) {
    attribute("place", points, gl.FLOAT, false);
    attribute("normal", null);
    attribute("colour", null);
    gl.uniform4fv(where.flat, colour);
    gl.bindBuffer(gl.ELEMENT_ARRAY_BUFFER, part.buffer);
    gl.drawElements(gl.LINES, part.count, part.kind, 0);
  }

  function draw() {
    const ratio = Math.min(window.devicePixelRatio || 1, 2);
    const w = Math.max(1, Math.round(canvas.clientWidth * ratio));
    const h = Math.max(1, Math.round(canvas.clientHeight * ratio));
    if (canvas.width !== w || canvas.height !== h) { canvas.width = w; canvas.height = h; }
    gl.viewport(0, 0, w, h);
    gl.clearColor(1, 1, 1, 1);
    gl.clear(gl.COLOR_BUFFER_BIT | gl.DEPTH_BUFFER_BIT);
    gl.enable(gl.DEPTH_TEST);
    const r = rotation(), size = (0.95 * zoom) / data.radius, short = Math.min(w, h);
    gl.uniformMatrix3fv(where.turn, false, [0, 1, 2].flatMap((k) => [r[0][k], r[1][k], r[2][k]]));
    gl.uniform2f(where.scale, (size * short) / w, (size * short) / h);
    gl.uniform1f(where.depth, 0.4 / data.radius);
    gl.uniform4f(where.flat, 0, 0, 0, 0);
    attribute("place", drawn.points, gl.FLOAT, false);
    attribute("normal", drawn.normals, gl.FLOAT, false);
    attribute("colour", drawn.colours, gl.UNSIGNED_BYTE, true);
    gl.bindBuffer(gl.ELEMENT_ARRAY_BUFFER, drawn.faces.buffer);
    gl.enable(gl.POLYGON_OFFSET_FILL);
    gl.polygonOffset(1, 1);
    gl.drawElements(gl.TRIANGLES, drawn.faces.count, drawn.faces.kind, 0);
    gl.disable(gl.POLYGON_OFFSET_FILL);
    if (box("wires").checked) lines(drawn.points, drawn.edges, [0.25, 0.17, 0.02, 1]);
    if (truth && box("truth").checked) lines(truth.points, truth.edges, [0.0, 0.42, 0.68, 1]);
    triad(r);
  }

  function triad(r) {
    "xyz".split("").forEach((name, k) => {
      const x = 42 + 28 * r[0][k], y = 42 + 28 * r[1][k];
      const line = box("axis-" + name), text = box("name-" + name);
      line.setAttribute("x2", x);
      line.setAttribute("y2", y);
      text.setAttribute("x", 42 + 37 * r[0][k]);
      text.setAttribute("y", 46 + 37 * r[1][k]);
    });
  }

  function step(now) {
    if (box("turning").checked && !dragging) {
      yaw += Math.min(now - last, 100) * 0.0005;
      draw();
    }
    last = now;
    window.requestAnimationFrame(step);
  }

  let dragging = false, x0 = 0, y0 = 0;
  canvas.addEventListener("pointerdown", (e) => {
    dragging = true; x0 = e.clientX; y0 = e.clientY; canvas.setPointerCapture(e.pointerId);
    box("turning").checked = false;
  });
  canvas.addEventListener("pointermove", (e) => {
    if (!dragging) return;
    yaw -= (e.clientX - x0) * 0.01 * Math.sign(Math.cos(tilt) || 1);
    tilt -= (e.clientY - y0) * 0.01;
    x0 = e.clientX; y0 = e.clientY;
    draw();
  });
  for (const name of ["pointerup", "pointercancel"]) canvas.addEventListener(name, () => { dragging = false; });
  canvas.addEventListener("wheel", (e) => {
    e.preventDefault();
    zoom = Math.min(8, Math.max(0.3, zoom * Math.exp(-e.deltaY * 0.001)));
    draw();
  }, { passive: false });
  canvas.addEventListener("keydown", (e) => {
    const move = { ArrowLeft: [0.1, 0], ArrowRight: [-0.1, 0], ArrowUp: [0, 0.1], ArrowDown: [0, -0.1] }[e.key];
    if (!move) return;
    e.preventDefault();
    box("turning").checked = false;
    yaw += move[0]; tilt += move[1];
    draw();
  });
  for (const id of ["wires", "truth"]) if (box(id)) box(id).addEventListener("change", draw);
  window.addEventListener("resize", draw);
  canvas.addEventListener("webglcontextlost", () => view.classList.remove("live"));

  view.classList.add("live");
  draw();
  window.requestAnimationFrame(step);
})();
