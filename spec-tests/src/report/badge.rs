//! Draws a score as a badge in SVG.

use super::junit::escaped;
use crate::run::{Outcome, Results, Score};
use crate::vector::{Demand, Topic};

/// Assumed width of a character in pixels. Most characters of Verdana, the usual font of badges, are
/// narrower.
const CHARACTER: usize = 7;

/// Returns a badge with the scores `takes` and `refuses` of a subject. The scores are those of one topic, or
/// of all topics.
pub fn badge(results: &Results, topic: Option<&Topic>) -> String {
    let outcomes: Vec<&Outcome> = match topic {
        Some(topic) => results.of_topic(topic),
        None => results.outcomes.iter().collect(),
    };
    let [takes, refuses] = [Demand::Take, Demand::Refuse].map(|demand| Score::of(&outcomes, demand));
    let mut words = Vec::new();
    for (word, score) in [("takes", takes), ("refuses", refuses)] {
        if score.asked > 0 {
            words.push(format!("{word} {score}"));
        }
    }
    let (passed, asked) = (takes.passed + refuses.passed, takes.asked + refuses.asked);
    let colour = match asked {
        0 => "#6b7280",
        _ if passed == asked => "#2b6a9e",
        _ if passed * 10 >= asked * 9 => "#8a6100",
        _ => "#9c2a10",
    };
    let label =
        topic.map_or_else(|| "GELF".to_owned(), |topic| format!("GELF {}", topic.topic.replace('_', " ")));
    let words = if words.is_empty() { "not asked".to_owned() } else { words.join(", ") };
    let [left, right] = [&label, &words].map(|text| text.chars().count() * CHARACTER + 12);
    let (width, at_label, at_words) = (left + right, left / 2, left + right / 2);
    let label = escaped(&label);
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"20\" role=\"img\" \
         aria-label=\"{label}: {words}\"><title>{label}: {words}</title>\
         <clipPath id=\"r\"><rect width=\"{width}\" height=\"20\" rx=\"3\"/></clipPath><g clip-path=\"url(#r)\">\
         <path fill=\"#3d434b\" d=\"M0 0h{left}v20H0z\"/><path fill=\"{colour}\" d=\"M{left} 0h{right}v20H{left}z\"/></g>\
         <g fill=\"#fff\" text-anchor=\"middle\" font-family=\"Verdana,DejaVu Sans,sans-serif\" font-size=\"11\">\
         <text x=\"{at_label}\" y=\"14\">{label}</text><text x=\"{at_words}\" y=\"14\">{words}</text></g></svg>\n"
    )
}

/// Returns the file name of a badge: the name of the subject, then the topic if there is one, in lower-case
/// letters, digits and dashes.
pub fn badge_file(results: &Results, topic: Option<&Topic>) -> String {
    let topic = topic.map(|topic| format!("-{}", topic.topic)).unwrap_or_default();
    let mut name = String::new();
    for character in format!("{}{topic}", results.subject.name).to_lowercase().chars() {
        match character {
            'a'..='z' | '0'..='9' => name.push(character),
            _ if !name.is_empty() && !name.ends_with('-') => name.push('-'),
            _ => {}
        }
    }
    format!("{}.svg", name.trim_end_matches('-'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Builtin, Description, Selection, embedded, run};

    #[test]
    fn a_badge_has_the_scores_and_a_name_for_files() {
        let topics = embedded().unwrap();
        let selection = Selection::new(Some("C01,C14"), None);
        let mut results = run(&topics, &mut Builtin::default(), None, selection, &mut |_, _| ()).unwrap();
        let svg = badge(&results, None);
        assert!(svg.contains("aria-label=\"GELF: takes 1/1, refuses 1/1\""), "{svg}");
        assert!(badge(&results, Some(&topics[0])).contains("GELF chunk header: takes 1/1, refuses 1/1"));
        assert!(badge(&results, Some(&topics[2])).contains(">not asked<"));
        results.subject.name = "gelf (gelf-node)".to_owned();
        assert_eq!(badge_file(&results, Some(&topics[0])), "gelf-gelf-node-chunk-header.svg");
        assert_eq!(badge_file(&results, None), "gelf-gelf-node.svg");
    }

    #[test]
    fn the_name_of_a_topic_can_have_any_characters() {
        let mut topic = embedded().unwrap().remove(0);
        topic.topic = "/../<a & \"b\">".to_owned();
        let results = Results { subject: Description::default(), outcomes: Vec::new(), stale: Vec::new() };
        let svg = badge(&results, Some(&topic));
        assert!(svg.contains("<title>GELF /../&lt;a &amp; &quot;b&quot;&gt;: not asked</title>"), "{svg}");
        assert_eq!(badge_file(&results, Some(&topic)), "a-b.svg");
    }
}
