//! Names: case conversion and "did you mean".

/// How keys are made of Rust names.
#[derive(Clone, Copy)]
pub(crate) enum Case {
    Kebab,
    Snake,
    Camel,
}

pub(crate) const CASES: [(&str, Case); 3] =
    [("kebab-case", Case::Kebab), ("snake_case", Case::Snake), ("camelCase", Case::Camel)];

impl Case {
    /// The key for a Rust name in `snake_case` (fields) or `CamelCase` (variants).
    pub(crate) fn apply(self, name: &str) -> String {
        let words = words(name.trim_start_matches("r#"));
        match self {
            Self::Kebab => words.join("-"),
            Self::Snake => words.join("_"),
            Self::Camel => words
                .iter()
                .enumerate()
                .map(|(i, word)| if i == 0 { word.clone() } else { capitalized(word) })
                .collect(),
        }
    }
}

fn words(name: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut previous_upper = true;
    for c in name.chars() {
        if c == '_' || (c.is_uppercase() && !previous_upper) {
            words.push(String::new());
        }
        previous_upper = c.is_uppercase() || c == '_';
        if c != '_' {
            words.last_mut().expect("never empty").extend(c.to_lowercase());
        }
    }
    words.retain(|word| !word.is_empty());
    words
}

fn capitalized(word: &str) -> String {
    let mut chars = word.chars();
    chars.next().into_iter().flat_map(char::to_uppercase).chain(chars).collect()
}

/// `; did you mean ...?` when one of `known` is near to `word`, else the list of all.
pub(crate) fn suggest(word: &str, known: &[&str]) -> String {
    match known.iter().map(|name| (distance(word, name), name)).min() {
        Some((distance, name)) if distance <= (name.len() / 3).max(2) && distance < name.len() => {
            format!("; did you mean `{name}`?")
        }
        _ => format!("; there are `{}`", known.join("`, `")),
    }
}

/// Levenshtein's distance.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(x != *y);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cases() {
        assert_eq!(Case::Kebab.apply("num_queues"), "num-queues");
        assert_eq!(Case::Kebab.apply("r#type"), "type");
        assert_eq!(Case::Kebab.apply("VirtioBlk"), "virtio-blk");
        assert_eq!(Case::Kebab.apply("IoUring"), "io-uring");
        assert_eq!(Case::Snake.apply("max_ports"), "max_ports");
        assert_eq!(Case::Camel.apply("max_ports"), "maxPorts");
    }

    #[test]
    fn suggestions() {
        assert_eq!(suggest("renam", &["rename", "skip"]), "; did you mean `rename`?");
        assert_eq!(suggest("zzz", &["rename", "skip"]), "; there are `rename`, `skip`");
    }
}
