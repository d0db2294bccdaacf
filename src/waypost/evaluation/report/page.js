// Draws each chart when it comes near the window, in the colours of the page's style, and again when these change.
(() => {
  "use strict";
  const VARIABLE = /^var\((--[a-z0-9]+)\)$/;
  const FINE = matchMedia("(pointer: fine)").matches; // a mouse; a finger scrolls the page instead
  const SETTINGS = {
    responsive: true,
    displaylogo: false,
    displayModeBar: FINE ? "hover" : false,
    // Only these: one of the library's own buttons would send the data away.
    modeBarButtons: [["toImage", "zoomIn2d", "zoomOut2d", "resetScale2d"]],
    toImageButtonOptions: { format: "svg" },
  };
  const drawn = new Set();

  function figure(box) {
    const style = getComputedStyle(document.documentElement);
    return JSON.parse(box.nextElementSibling.textContent, (_, value) => {
      const found = typeof value === "string" ? VARIABLE.exec(value) : null;
      return found ? style.getPropertyValue(found[1]).trim() : value;
    });
  }

  function draw(box) {
    const { data, layout } = figure(box);
    layout.dragmode = FINE ? "zoom" : false;
    if (box.dataset.scale) layout.xaxis.type = box.dataset.scale;
    drawn.add(box);
    return Plotly.react(box, data, layout, SETTINGS);
  }

  const visible = (box) => box.offsetParent !== null;
  const again = () => drawn.forEach(draw);
  const all = () => document.querySelectorAll(".chart").forEach((box) => visible(box) && draw(box));

  const near = new IntersectionObserver((entries) => {
    for (const { isIntersecting, target } of entries) if (isIntersecting && !drawn.has(target)) draw(target);
  }, { rootMargin: "600px" });
  document.querySelectorAll(".chart").forEach((box) => near.observe(box));

  document.querySelectorAll("select[data-choice]").forEach((select) => {
    const options = document.getElementById(select.dataset.choice).children;
    const show = () => [...options].forEach((option, k) => { option.hidden = k !== select.selectedIndex; });
    select.addEventListener("change", show);
    show();
  });

  document.querySelectorAll("button[data-log]").forEach((button) => {
    const box = document.getElementById(button.dataset.log);
    button.addEventListener("click", () => {
      const log = button.getAttribute("aria-pressed") !== "true";
      button.setAttribute("aria-pressed", String(log));
      box.dataset.scale = log ? "log" : "linear";
      draw(box);
    });
  });

  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", again);
  matchMedia("print").addEventListener("change", again);
  addEventListener("beforeprint", all);
})();
