//! Draws plots in SVG, with colours for light and dark pages.

use std::fmt::Write as _;

const STYLE: &str = "\
    text{font:13px system-ui,sans-serif;fill:#1f2328}.title{font-weight:600;font-size:15px}\
    .paper{fill:#fff}.grid{stroke:#d1d9e0}.line{fill:none;stroke:#818b98;stroke-width:1.5}\
    .dot,.bar{fill:#818b98}.ours.line{stroke:#0969da;stroke-width:2.5}.ours.dot,.ours.bar{fill:#0969da}\
    text.ours{fill:#0969da;font-weight:600}.leader{stroke:#818b98;stroke-width:.6}\
    @media(prefers-color-scheme:dark){text{fill:#f0f6fc}.paper{fill:#0d1117}.grid{stroke:#3d444d}\
    .ours.line{stroke:#4493f8}.ours.dot,.ours.bar{fill:#4493f8}text.ours{fill:#4493f8}}";

/// The space between two labels, in pixels.
const LABEL: f64 = 17.0;

/// A curve or a bar with its name.
#[derive(Clone, Debug)]
pub(crate) struct Curve {
    pub(crate) name: String,
    /// True if the curve shows a program of this project.
    pub(crate) ours: bool,
    /// The points. Both coordinates are greater than zero.
    pub(crate) points: Vec<(f64, f64)>,
}

/// Draws curves on two logarithmic axes. The names are at the right end.
pub(crate) fn curves(title: &str, x_name: &str, ticks: &[f64], curves: &[Curve]) -> String {
    let (width, left, right, top) = (960.0, 70.0, 610.0, 60.0);
    let bottom = top + (LABEL * curves.len() as f64).max(380.0);
    let mut svg = start(title, width, bottom + 60.0);
    let (low, high) = decades(curves.iter().flat_map(|curve| curve.points.iter().map(|point| point.1)));
    let (first, last) = (ticks.first().copied().unwrap_or(1.0), ticks.last().copied().unwrap_or(10.0));
    let x = |value: f64| left + (value / first).log10() / (last / first).log10() * (right - left);
    let y = |value: f64| bottom - (value / low).log10() / (high / low).log10() * (bottom - top);
    for tick in ticks {
        text(&mut svg, x(*tick), bottom + 20.0, "middle", "", &tick_number(*tick));
        line(&mut svg, "grid", [x(*tick), top, x(*tick), bottom]);
    }
    for tick in powers(low, high) {
        text(&mut svg, left - 8.0, y(tick) + 4.0, "end", "", &tick_number(tick));
        line(&mut svg, "grid", [left, y(tick), right, y(tick)]);
    }
    text(&mut svg, (left + right) / 2.0, bottom + 44.0, "middle", "", x_name);
    text(&mut svg, left - 50.0, top - 12.0, "start", "", "processor time in µs, logarithmic");
    let mut ends: Vec<(f64, &Curve)> =
        curves.iter().filter_map(|curve| Some((y(curve.points.last()?.1), curve))).collect();
    ends.sort_by(|a, b| a.0.total_cmp(&b.0));
    for class in ["", "ours "] {
        for curve in curves.iter().filter(|curve| curve.ours != class.is_empty()) {
            let points: Vec<String> =
                curve.points.iter().map(|(at, value)| format!("{:.1},{:.1}", x(*at), y(*value))).collect();
            let _ = writeln!(svg, r#"<polyline class="{class}line" points="{}"/>"#, points.join(" "));
            for (at, value) in &curve.points {
                let _ = writeln!(
                    svg,
                    r#"<circle class="{class}dot" cx="{:.1}" cy="{:.1}" r="3.5"/>"#,
                    x(*at),
                    y(*value)
                );
            }
        }
    }
    for (label, (end, curve)) in spread(ends.iter().map(|end| end.0), top, bottom).into_iter().zip(&ends) {
        line(&mut svg, "leader", [right + 6.0, *end, right + 24.0, label]);
        let value = curve.points.last().map(|point| number(point.1)).unwrap_or_default();
        let class = if curve.ours { "ours" } else { "" };
        text(&mut svg, right + 28.0, label + 4.0, "start", class, &format!("{} — {value}", curve.name));
    }
    svg + "</svg>\n"
}

/// Draws a horizontal bar for the first point of each curve, on a logarithmic axis.
pub(crate) fn bars(title: &str, curves: &[Curve]) -> String {
    let (width, left, right, top, step) = (960.0, 330.0, 860.0, 60.0, 26.0);
    let bottom = top + step * curves.len() as f64 + 8.0;
    let mut svg = start(title, width, bottom + 56.0);
    let value = |curve: &Curve| curve.points.first().map_or(1.0, |point| point.1);
    let (low, high) = decades(curves.iter().map(value));
    let x = |value: f64| left + (value / low).log10() / (high / low).log10() * (right - left);
    for tick in powers(low, high) {
        line(&mut svg, "grid", [x(tick), top - 6.0, x(tick), bottom]);
        text(&mut svg, x(tick), bottom + 18.0, "middle", "", &tick_number(tick));
    }
    text(&mut svg, (left + right) / 2.0, bottom + 40.0, "middle", "", "processor time in µs, logarithmic");
    for (at, curve) in curves.iter().enumerate() {
        let (y, class) = (top + step * at as f64, if curve.ours { "ours" } else { "" });
        text(&mut svg, left - 10.0, y + 17.0, "end", class, &curve.name);
        let end = x(value(curve)).max(left + 1.0);
        let _ = writeln!(
            svg,
            r#"<rect class="{class} bar" x="{left}" y="{:.1}" width="{:.1}" height="{:.1}"/>"#,
            y + 3.0,
            end - left,
            step - 6.0
        );
        text(&mut svg, end + 8.0, y + 17.0, "start", class, &number(value(curve)));
    }
    svg + "</svg>\n"
}

fn start(title: &str, width: f64, height: f64) -> String {
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" \
         viewBox=\"0 0 {width} {height}\" role=\"img\">\n<title>{title}</title>\n<style>{STYLE}</style>\n\
         <rect class=\"paper\" width=\"{width}\" height=\"{height}\"/>\n"
    );
    text(&mut svg, 20.0, 26.0, "start", "title", title);
    svg
}

fn text(svg: &mut String, x: f64, y: f64, anchor: &str, class: &str, words: &str) {
    let words = words.replace('&', "&amp;").replace('<', "&lt;");
    let _ =
        writeln!(svg, r#"<text x="{x:.1}" y="{y:.1}" text-anchor="{anchor}" class="{class}">{words}</text>"#);
}

fn line(svg: &mut String, class: &str, [x1, y1, x2, y2]: [f64; 4]) {
    let _ = writeln!(svg, r#"<line class="{class}" x1="{x1:.1}" y1="{y1:.1}" x2="{x2:.1}" y2="{y2:.1}"/>"#);
}

/// Returns the powers of ten that enclose the values most closely.
fn decades(values: impl Iterator<Item = f64>) -> (f64, f64) {
    let (low, high) =
        values.fold((f64::MAX, f64::MIN), |(low, high), value| (low.min(value), high.max(value)));
    if low > high {
        return (1.0, 10.0);
    }
    let (low, high) = (10_f64.powf(low.log10().floor()), 10_f64.powf(high.log10().ceil()));
    (low, high.max(low * 10.0))
}

fn powers(low: f64, high: f64) -> impl Iterator<Item = f64> {
    std::iter::successors(Some(low), |tick| Some(tick * 10.0)).take_while(move |tick| *tick < high * 1.5)
}

/// Moves sorted positions apart, so that labels do not overlap.
fn spread(positions: impl Iterator<Item = f64>, top: f64, bottom: f64) -> Vec<f64> {
    let mut places: Vec<f64> = positions.collect();
    let mut least = top;
    for place in &mut places {
        *place = place.max(least);
        least = *place + LABEL;
    }
    let mut most = bottom;
    for place in places.iter_mut().rev() {
        *place = place.min(most);
        most = *place - LABEL;
    }
    places
}

/// Formats a figure with at least three digits.
pub(crate) fn number(value: f64) -> String {
    match value {
        value if value >= 1000.0 => thousands(value),
        value if value >= 100.0 => format!("{value:.0}"),
        value if value >= 10.0 => format!("{value:.1}"),
        value => format!("{value:.2}"),
    }
}

/// Formats the number at a tick of an axis.
fn tick_number(value: f64) -> String {
    if value >= 1000.0 { thousands(value) } else { value.to_string() }
}

fn thousands(value: f64) -> String {
    let text = format!("{value:.0}");
    let (head, tail) = text.split_at(text.len() - 3);
    format!("{head},{tail}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_keep_their_order_and_do_not_overlap() {
        assert_eq!(spread([10.0, 11.0, 99.0, 100.0].into_iter(), 0.0, 100.0), [10.0, 27.0, 83.0, 100.0]);
    }
}
