/**
 * The one Typst program. It reads the document as JSON and never evaluates any of it: strings from data reach `text` as
 * strings, so markup, code and maths in them are shown literally.
 */
export const DOCUMENT_PROGRAM = `
#let doc = json("/document.json")
#let at = doc.date
#set document(
  title: doc.title, author: doc.author,
  date: datetime(year: at.at(0), month: at.at(1), day: at.at(2), hour: at.at(3), minute: at.at(4), second: at.at(5)))
#set page(
  paper: "us-letter", margin: (x: 1in, top: 1in, bottom: 1.1in),
  footer: context text(size: 8pt, fill: luma(90), {
    doc.footer
    h(1fr)
    "Page " + str(counter(page).get().first()) + " of " + str(counter(page).final().first())
  }))
#set text(font: "Noto Sans", size: 10.5pt, lang: "en", hyphenate: false)
#set par(leading: 0.68em, spacing: 1.1em)
#set list(spacing: 0.7em, marker: "•")
#set enum(spacing: 0.7em)
#show heading.where(level: 1): it => block(above: 0pt, below: 1.1em, text(size: 19pt, it.body))
#show heading.where(level: 2): it => block(above: 1.6em, below: 0.8em, text(size: 13.5pt, it.body))
#show heading.where(level: 3): it => block(above: 1.3em, below: 0.7em, text(size: 11.5pt, it.body))

#let inline(nodes) = for node in nodes {
  if node.kind == "text" { text(node.text) }
  else if node.kind == "strong" { strong(inline(node.content)) }
  else if node.kind == "em" { emph(inline(node.content)) }
  else { linebreak() }
}
#let cell(entry) = if entry.isHeader { strong(inline(entry.content)) } else { inline(entry.content) }

#let blocks(nodes) = for node in nodes {
  if node.kind == "heading" { heading(level: node.level, inline(node.content)) }
  else if node.kind == "paragraph" { par(inline(node.content)) }
  else if node.kind == "list" {
    if node.ordered { enum(..node.items.map(blocks)) } else { list(..node.items.map(blocks)) }
  }
  else if node.kind == "table" {
    let head = if node.header.len() > 0 { (table.header(..node.header.flatten().map(cell)),) } else { () }
    table(
      columns: (1fr,) * node.columns, align: left, inset: 6pt, stroke: 0.5pt + luma(170),
      fill: (x, y) => if y < node.header.len() { luma(238) },
      ..head, ..node.rows.flatten().map(cell))
  }
  else if node.kind == "page-break" { pagebreak(weak: true) }
  else if node.kind == "signature" {
    block(breakable: false, above: 2.2em, width: 60%, {
      if node.signedBy == none { v(1.6em) } else {
        par(text(size: 14pt, style: "italic", node.signedBy))
        par(text(size: 8.5pt, fill: luma(70), node.evidence))
      }
      line(length: 100%, stroke: 0.7pt)
      par(text(size: 9pt, node.label))
    })
  }
}
#blocks(doc.blocks)
`;
