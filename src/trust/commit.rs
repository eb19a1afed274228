//! The signature of a commit of git: a header of its object, over all the rest of it.

/// The namespace in which git has commits signed.
pub const COMMITS: &str = "git";

/// The headers that hold signatures, by the hash of the repository; none of them is signed itself.
const HEADERS: [&[u8]; 2] = [b"gpgsig", b"gpgsig-sha256"];

/// A commit's object, taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedCommit {
    /// The signatures, as they were written.
    pub signatures: Vec<Vec<u8>>,
    /// The signed rest.
    pub signed: Vec<u8>,
}

impl SignedCommit {
    /// Takes the object of a commit apart, as git does before a signature is verified.
    #[must_use]
    pub fn of(object: &[u8]) -> Self {
        let mut commit = Self { signatures: Vec::new(), signed: Vec::new() };
        let (mut is_head, mut is_signature) = (true, false);
        for line in object.split_inclusive(|byte| *byte == b'\n') {
            is_head &= line != b"\n";
            let begun = HEADERS.iter().find_map(|name| line.strip_prefix(*name)?.strip_prefix(b" "));
            match (is_head, begun, line.strip_prefix(b" ")) {
                (true, Some(first), _) => {
                    commit.signatures.push(first.to_vec());
                    is_signature = true;
                }
                (true, None, Some(more)) if is_signature => {
                    commit.signatures.last_mut().into_iter().for_each(|it| it.extend_from_slice(more));
                }
                _ => {
                    is_signature = false;
                    commit.signed.extend_from_slice(line);
                }
            }
        }
        commit
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_is_taken_out_of_the_head_and_out_of_nothing_else() {
        let object = b"tree 1\nparent 2\nauthor a\ngpgsig -----BEGIN\n \n line\n -----END\nencoding x\n more\n\ngpgsig no\n head\n";
        let commit = SignedCommit::of(object);
        assert_eq!(commit.signatures, [b"-----BEGIN\n\nline\n-----END\n".to_vec()]);
        let signed: &[u8] = b"tree 1\nparent 2\nauthor a\nencoding x\n more\n\ngpgsig no\n head\n";
        assert_eq!(commit.signed, signed);
        assert!(SignedCommit::of(b"tree 1\n\ntext\n").signatures.is_empty());
    }
}
