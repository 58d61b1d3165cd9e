"use strict";
// Draws each chart once it comes near the window, and again when theme or width change its look.

(() => {
  // a probe resolves light-dark(), which the value of a custom property leaves as it is written
  const probe = document.createElement("span");
  probe.hidden = true;
  document.body.append(probe);

  function colour(name) {
    probe.style.color = `var(${name})`;
    return getComputedStyle(probe).color;
  }

  function config() {
    const [ink, soft, rule] = ["--ink", "--soft", "--rule"].map(colour);
    const font = getComputedStyle(document.body).fontFamily;
    return {
      background: "transparent",
      font,
      view: { stroke: null },
      axis: {
        labelColor: soft,
        titleColor: soft,
        gridColor: rule,
        domainColor: rule,
        tickColor: rule,
        labelFontSize: 12,
        titleFontSize: 12,
        titleFontWeight: "normal",
        labelOverlap: true,
      },
      legend: {
        orient: "bottom",
        columns: 1, // two would cut their labels
        labelColor: ink,
        titleColor: soft,
        titleFontWeight: "normal",
        labelFontSize: 12,
        symbolOpacity: 1,
        symbolBaseFillColor: soft,
        symbolBaseStrokeColor: soft,
      },
      rule: { color: soft },
      text: { color: soft },
      style: { guide: { color: soft, strokeWidth: 1.5, opacity: 0.7 } },
    };
  }

  // ---- tooltips: texts only, in one element of our own

  const tip = document.createElement("div");
  tip.className = "tip";
  tip.hidden = true;
  document.body.append(tip);

  function tooltip(handler, event, item, value) {
    tip.hidden = value == null || value === "";
    if (tip.hidden) return;
    const lines = Object.entries(value).map(([name, text]) => {
      const line = document.createElement("div");
      const label = document.createElement("span");
      label.textContent = name;
      line.append(label, " ", String(text));
      return line;
    });
    tip.replaceChildren(...lines);
    const left = Math.min(event.clientX + 14, innerWidth - tip.offsetWidth - 8);
    const top = Math.min(event.clientY + 14, innerHeight - tip.offsetHeight - 8);
    tip.style.left = `${Math.max(8, left)}px`;
    tip.style.top = `${Math.max(8, top)}px`;
  }

  // ---- drawing

  const drawn = new Map();

  async function draw(plot) {
    const spec = JSON.parse(plot.parentElement.querySelector("script").textContent);
    const narrow = plot.clientWidth < 420;
    const options = {
      actions: false,
      renderer: "svg",
      defaultStyle: false,
      tooltip,
      config: config(),
    };
    if (narrow) options.config.text.fontSize = 9; // so that a heat map's numbers stay apart
    drawn.get(plot)?.finalize();
    drawn.set(plot, await vegaEmbed(plot, spec, options));
    plot.dataset.drawn = "yes";
  }

  const near = new IntersectionObserver(
    (entries) => {
      for (const { isIntersecting, target } of entries) {
        if (!isIntersecting) continue;
        near.unobserve(target);
        draw(target);
      }
    },
    { rootMargin: "400px" },
  );
  for (const plot of document.querySelectorAll(".plot")) near.observe(plot);
  document.addEventListener("themechange", () => [...drawn.keys()].forEach(draw));
})();
