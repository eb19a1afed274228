//! HTML that is written piece by piece: whatever is not of this program is escaped on its way in.

use super::Layout;
use crate::model::{Status, escaped, is_hidden};

/// Elements whose end a browser knows from what follows: the HTML standard lets it be left out, and a long page is
/// a tenth shorter.
const ENDLESS: [&str; 6] = ["dt", "dd", "li", "td", "th", "tr"];

/// A document that grows. Tags and their fixed attributes are of this program; all else comes in as text.
#[derive(Default)]
pub(crate) struct Markup {
    out: String,
}

impl Markup {
    /// Markup that is part of this program.
    pub(crate) fn fixed(&mut self, markup: &'static str) {
        self.out.push_str(markup);
    }

    /// An element: `tag` is its name, with fixed attributes behind it.
    pub(crate) fn within(&mut self, tag: &'static str, content: impl FnOnce(&mut Self)) {
        self.with(tag, &[], content);
    }

    /// An element with attributes whose values are not fixed.
    pub(crate) fn with(
        &mut self,
        tag: &'static str,
        attributes: &[(&'static str, &str)],
        content: impl FnOnce(&mut Self),
    ) {
        self.out.push('<');
        self.out.push_str(tag);
        for (name, value) in attributes {
            self.out.push(' ');
            self.out.push_str(name);
            self.out.push_str("=\"");
            self.push(value, true);
            self.out.push('"');
        }
        self.out.push('>');
        content(self);
        let name = tag.split(' ').next().unwrap_or(tag);
        if !ENDLESS.contains(&name) {
            self.out.push_str("</");
            self.out.push_str(name);
            self.out.push('>');
        }
    }

    /// An element that holds nothing but text.
    pub(crate) fn put(&mut self, tag: &'static str, text: &str) {
        self.within(tag, |it| it.text(text));
    }

    /// An element of one kind for each text.
    pub(crate) fn each(&mut self, tag: &'static str, texts: impl IntoIterator<Item = impl AsRef<str>>) {
        for text in texts {
            self.put(tag, text.as_ref());
        }
    }

    /// A table with a heading over each column.
    pub(crate) fn table(
        &mut self,
        tag: &'static str,
        heads: [&'static str; 4],
        rows: impl FnOnce(&mut Self),
    ) {
        self.within(tag, |it| {
            it.within("thead", |it| {
                it.within("tr", |it| it.each("th scope=col", heads));
            });
            it.within("tbody", rows);
        });
    }

    /// Text; where it holds what nobody sees, it is escaped as on a terminal.
    pub(crate) fn text(&mut self, text: &str) {
        self.push(text, false);
    }

    /// A name, as a terminal shows it.
    pub(crate) fn name(&mut self, name: &[u8]) {
        self.push(&escaped(name), false);
    }

    /// What [`Markup::into_html`] of another one gave.
    pub(crate) fn append(&mut self, other: &str) {
        self.out.push_str(other);
    }

    pub(crate) fn into_html(self) -> String {
        self.out
    }

    fn push(&mut self, text: &str, is_value: bool) {
        let is_plain = |byte: u8| matches!(byte, b' '..=b'~');
        if !text.bytes().all(is_plain) && text.chars().any(is_hidden) {
            return self.push(&escaped(text.as_bytes()), is_value);
        }
        let mut rest = text;
        while let Some(at) = rest.find(|c| matches!(c, '&' | '<' | '>') || c == '"' && is_value) {
            let (plain, markup) = rest.split_at(at);
            self.out.push_str(plain);
            self.out.push_str(match markup.as_bytes().first() {
                Some(b'&') => "&amp;",
                Some(b'<') => "&lt;",
                Some(b'>') => "&gt;",
                _ => "&quot;",
            });
            rest = markup.get(1..).unwrap_or_default();
        }
        self.out.push_str(rest);
    }
}

/// A verdict as a mark: the word, never its colour alone.
pub(super) fn badge(page: &mut Markup, status: Status) {
    let tag = match status {
        Status::Pass => "b class=pass",
        Status::Fail => "b class=fail",
        Status::Error => "b class=error",
        Status::Skip => "b class=skip",
    };
    page.put(tag, status.word());
}

/// A part of the page with its heading.
pub(super) fn section(
    page: &mut Markup,
    layout: Layout,
    title: &str,
    content: impl FnOnce(&mut Markup, Layout),
) {
    page.within("section", |it| {
        it.put(layout.heading(), title);
        content(it, layout.below());
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_comes_in_is_markup() {
        let mut it = Markup::default();
        let hostile = "\"><img src=x onerror=alert(1)>&amp;<script>\u{202e}\n";
        it.with("p class=x", &[("title", hostile)], |it| it.text(hostile));
        it.within("code", |it| it.name(b"a\\b\xff</code>"));
        let hidden = "\\u{202e}\\n";
        let text = format!("\"&gt;&lt;img src=x onerror=alert(1)&gt;&amp;amp;&lt;script&gt;{hidden}");
        let value = text.replace('"', "&quot;");
        let expected =
            format!("<p class=x title=\"{value}\">{text}</p><code>a\\\\b\\xff&lt;/code&gt;</code>");
        assert_eq!(it.into_html(), expected);
    }

    #[test]
    fn what_is_plain_stays_as_it_is() {
        let mut it = Markup::default();
        it.put("code", "git show a1:x | { cat > 'ü \\ y'; }");
        assert_eq!(it.into_html(), "<code>git show a1:x | { cat &gt; 'ü \\ y'; }</code>");
    }
}
