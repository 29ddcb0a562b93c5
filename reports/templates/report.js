{{define "report.js"}}
(function () {
  var data = JSON.parse(document.getElementById("data").textContent);
  var tip = document.getElementById("tip");
  var charts = Array.prototype.slice.call(document.querySelectorAll("svg.chart"));
  function num(svg, name) { return parseFloat(svg.getAttribute("data-" + name)); }
  function cross(t) {
    charts.forEach(function (svg) {
      var line = svg.querySelector(".cross");
      line.style.visibility = t === null ? "hidden" : "visible";
      if (t === null) { return; }
      var x = num(svg, "x0") + t / num(svg, "end") * (num(svg, "x1") - num(svg, "x0"));
      line.setAttribute("x1", x);
      line.setAttribute("x2", x);
    });
  }
  function hide() { tip.style.display = "none"; cross(null); }
  charts.forEach(function (svg) {
    svg.addEventListener("pointerleave", hide);
    svg.addEventListener("pointermove", function (event) {
      var box = svg.getBoundingClientRect();
      var x = (event.clientX - box.left) / box.width * svg.viewBox.baseVal.width;
      var t = (x - num(svg, "x0")) / (num(svg, "x1") - num(svg, "x0")) * num(svg, "end");
      if (t < 0 || t >= num(svg, "end")) { hide(); return; }
      var i = Math.floor(t / data.step), from = i * data.step;
      var text = data.step === 1 ? from + " s" : from + " to " + (from + data.step) + " s";
      (data.charts[svg.getAttribute("data-chart")] || []).forEach(function (line) {
        var v = line.values[i];
        text += "\n" + line.name + ": " + (v === null || v === undefined ? "none" : v + line.unit);
      });
      data.faults.forEach(function (f) {
        if (t >= f.start && t <= f.end) { text += "\nfault " + f.name; }
      });
      tip.textContent = text;
      tip.style.display = "block";
      var left = event.clientX + 14;
      if (left + tip.offsetWidth > window.innerWidth - 8) { left = event.clientX - tip.offsetWidth - 14; }
      tip.style.left = Math.max(left, 4) + "px";
      tip.style.top = Math.min(event.clientY + 14, window.innerHeight - tip.offsetHeight - 8) + "px";
      cross(t);
    });
  });
})();
{{end}}
