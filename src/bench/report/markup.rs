//! The stylesheet, escaping and tables of the HTML page.

/// The stylesheet: light or dark, as the reader's system prefers; a single column on a phone.
pub(super) const STYLE: &str = "
:root{color-scheme:light dark;--paper:#fcfcfb;--ink:#1d2327;--soft:#5d676f;--line:#dfe3e6;--card:#fff;
--a:#1f6feb;--b:#d9730d;--c:#1a7f5a;--bad:#c0392b;--good:#1a7f5a;--warn:#8a5a00;--warnbg:#fff6e0}
@media(prefers-color-scheme:dark){:root{--paper:#14181b;--ink:#e6e9eb;--soft:#9aa5ad;--line:#2c343a;--card:#1b2024;
--a:#6cb0ff;--b:#ffad5c;--c:#4ccb99;--bad:#ff8b7e;--good:#4ccb99;--warn:#ffd58a;--warnbg:#2e2715}}
*{box-sizing:border-box}
body{margin:0;background:var(--paper);color:var(--ink);font:15px/1.5 system-ui,-apple-system,Segoe UI,Roboto,sans-serif}
main{max-width:1080px;margin:0 auto;padding:24px 20px 60px}
h1{font-size:25px;line-height:1.25;margin:0 0 4px}h2{font-size:17px;margin:34px 0 10px}
p{margin:6px 0}.soft{color:var(--soft)}code{font:13px/1.5 ui-monospace,SFMono-Regular,Menlo,monospace;
overflow-wrap:anywhere}
.tiles{display:grid;grid-template-columns:repeat(auto-fit,minmax(130px,1fr));gap:10px;margin:20px 0}
.tile,figure{background:var(--card);border:1px solid var(--line);border-radius:8px}
.tile{padding:12px 14px}.tile b{display:block;font-size:22px;font-weight:600;line-height:1.3}
.tile span{color:var(--soft);font-size:13px}
.charts{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(440px,100%),1fr));gap:14px}
figure{margin:0;padding:12px 14px 8px;min-width:0}figcaption{font-weight:600;margin-bottom:2px}
figcaption small{display:block;font-weight:400;color:var(--soft);font-size:13px}
.wide{grid-column:1/-1}svg{display:block;width:100%;height:auto}
svg text{fill:var(--soft);font:12px system-ui,sans-serif}svg .grid{stroke:var(--line);stroke-width:1}
.legend{display:flex;flex-wrap:wrap;gap:2px 16px;font-size:13px;color:var(--soft);padding:2px 0 4px}
.legend i{display:inline-block;width:11px;height:11px;border-radius:2px;margin-right:5px;vertical-align:-1px}
.scroll{overflow-x:auto}table{border-collapse:collapse;width:100%;font-variant-numeric:tabular-nums}
th,td{text-align:right;padding:5px 10px;border-bottom:1px solid var(--line);white-space:nowrap}
th{color:var(--soft);font-weight:500;font-size:13px}th:first-child,td:first-child{text-align:left;padding-left:0}
td.text{white-space:normal;text-align:left;overflow-wrap:anywhere}
.good,.tile b.good{color:var(--good)}.bad,.tile b.bad{color:var(--bad)}
.warnings{background:var(--warnbg);border-radius:8px;padding:10px 14px 10px 32px;margin:10px 0}.warnings li{margin:3px 0}
dl{display:grid;grid-template-columns:max-content 1fr;gap:4px 16px;margin:0}dt{color:var(--soft)}
dd{margin:0;overflow-wrap:anywhere;min-width:0}
@media(max-width:560px){.wide svg text{font-size:24px}main{padding:16px 12px 40px}h1{font-size:21px}dl{grid-template-columns:1fr;gap:0}
dd{margin-bottom:8px}th,td{padding:5px 7px}}
";

/// Escapes text for HTML content and attributes.
pub(super) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            other => escaped.push(other),
        }
    }
    escaped
}

/// Renders a table. Headings are escaped here. Cells must be HTML: the content of a cell, or a `<td>`.
pub(super) fn table(headings: &[&str], rows: &[Vec<String>]) -> String {
    let head: String = headings.iter().map(|heading| format!("<th>{}</th>", escape(heading))).collect();
    let render_row = |row: &Vec<String>| {
        let cells: String = row
            .iter()
            .map(|cell| if cell.starts_with("<td") { cell.clone() } else { format!("<td>{cell}</td>") })
            .collect();
        format!("<tr>{cells}</tr>\n")
    };
    let body: String = rows.iter().map(render_row).collect();
    format!("<div class=\"scroll\"><table><thead><tr>{head}</tr></thead><tbody>\n{body}</tbody></table></div>\n")
}
