//! Foreign text, before it comes into an error or a log line.

/// So much of it is looked at.
const MAX_READ_CHARS: usize = 16 << 10;
/// No word of a message is as long; tokens and keys are.
const MAX_WORD_CHARS: usize = 60;

/// The beginning of a foreign text: no control characters, and nothing that could be a token, not
/// even the beginning of one.
pub fn excerpt(text: &str) -> String {
    let mut shown = String::new();
    let mut word = String::new();
    let finish = |word: &mut String, shown: &mut String| {
        shown.push_str(if word.len() > MAX_WORD_CHARS {
            "***"
        } else {
            word
        });
        word.clear();
    };
    for letter in text.trim().chars().take(MAX_READ_CHARS) {
        if letter.is_ascii_alphanumeric() || "-_.+=".contains(letter) {
            word.push(letter);
            continue;
        }
        finish(&mut word, &mut shown);
        shown.push(letter);
    }
    finish(&mut word, &mut shown);
    backstay_report::excerpt(&shown)
}

/// The same, without this secret, whatever it looks like.
pub fn excerpt_without(text: &str, secret: &str) -> String {
    // Short ones would be found in ordinary words, and are no secrets.
    if secret.len() < 6 {
        return excerpt(text);
    }
    excerpt(&text.replace(secret, "***"))
}

/// What a client sent, short enough and plain enough for a message.
pub fn shown(text: &str) -> String {
    text.chars()
        .take(100)
        .flat_map(char::escape_debug)
        .collect()
}

#[cfg(test)]
mod tests;
