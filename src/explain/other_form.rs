//! What probably makes the same commit come out in another form, and what to do about that, in words.

use crate::model::{Finding, Origin, OtherForm};

/// The forms of a finding whose content is of the baseline's own commit.
pub(super) fn own_forms(finding: &Finding) -> Option<&[OtherForm]> {
    let provenance = finding.provenance.as_deref().filter(|it| it.origin == Origin::Own)?;
    Some(&provenance.forms)
}

/// Whether git must be set up first: files that are written in place of links and pointers would be changes to commit.
pub(super) fn needs_setting(forms: &[OtherForm]) -> bool {
    let needs = |form: &OtherForm| {
        matches!(form, OtherForm::LinksAsFiles | OtherForm::Links | OtherForm::Pointer | OtherForm::Filtered)
    };
    forms.iter().any(needs)
}

/// The cause of the first of these forms.
pub(super) fn cause(forms: &[OtherForm]) -> &'static str {
    match forms.first() {
        None | Some(OtherForm::LineEndings) => {
            "this checkout ends lines otherwise than the one that was locked: another core.autocrlf or core.eol, other \
             attributes, or a program that converted them"
        }
        Some(OtherForm::Encoding) => {
            "this checkout goes by another working-tree-encoding than the one that was locked"
        }
        Some(OtherForm::Keyword) => {
            "this checkout goes by another ident attribute than the one that was locked"
        }
        Some(OtherForm::Pointer) => {
            "the filter of these files is not installed or not configured here, so git left what it stores"
        }
        Some(OtherForm::Filtered) => {
            "the baseline was locked where the filter of these files was not configured"
        }
        Some(OtherForm::Archive) => "it was deployed with git archive, and the baseline is of a checkout",
        Some(OtherForm::Checkout) => "it was deployed by a checkout, and the baseline is of an archive",
        Some(OtherForm::LinksAsFiles) => {
            "git checked links out as files, as core.symlinks=false says, or a file system without links"
        }
        Some(OtherForm::Links) => "the baseline was locked where git checked links out as files",
    }
}

/// What to do, of each form.
pub(super) fn advice(forms: &[OtherForm]) -> String {
    let of = |form: &OtherForm| match form {
        OtherForm::LineEndings => {
            "let one setting of line endings hold everywhere (* text=auto eol=lf in .gitattributes, then git add \
             --renormalize . and a commit; or the same core.autocrlf and core.eol by git config), and check out anew"
        }
        OtherForm::Encoding => {
            "let the same working-tree-encoding hold everywhere by .gitattributes, and check out anew"
        }
        OtherForm::Keyword => {
            "let the same ident attribute hold everywhere by .gitattributes, and check out anew"
        }
        OtherForm::Pointer => {
            "install the filter there and set it up by git config (of Git LFS: git lfs install, then git lfs pull), and \
             check out anew"
        }
        OtherForm::Filtered => "export the baseline anew where the filter is configured",
        OtherForm::Archive => {
            "deploy by a checkout, take export-subst and export-ignore out of .gitattributes, or accept what the archive holds"
        }
        OtherForm::Checkout => "deploy with git archive as before, or accept what the checkout holds",
        OtherForm::LinksAsFiles => {
            "where the file system has links: git config core.symlinks true, and check the links out anew"
        }
        OtherForm::Links => "export the baseline anew where git checks links out as links",
    };
    let all = if forms.is_empty() { &[OtherForm::LineEndings][..] } else { forms };
    all.iter().map(of).collect::<Vec<_>>().join("; ")
}
