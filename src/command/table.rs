//! Tables as Go's tabwriter formats them.

const LEAST_WIDTH: usize = 12;
const GAP: usize = 3;

/// The rows of a table, one cell after the other in one text: `list` has thousands of cells.
pub struct Rows<const N: usize> {
    text: String,
    /// The lengths of the cells, row by row.
    lengths: Vec<[u32; N]>,
    /// The number of characters of the longest cell in each column.
    widths: [usize; N],
}

impl<const N: usize> Default for Rows<N> {
    fn default() -> Rows<N> {
        Rows { text: String::new(), lengths: Vec::new(), widths: [0; N] }
    }
}

impl<const N: usize> Rows<N> {
    /// Adds a row.
    pub fn push(&mut self, cells: [&str; N]) {
        for (cell, width) in cells.iter().zip(&mut self.widths) {
            self.text.push_str(cell);
            *width = (*width).max(cell.chars().count());
        }
        self.lengths.push(cells.map(|cell| cell.len() as u32));
    }
}

/// The table. Its columns are at least 12 characters wide and 3 blanks apart.
pub fn format<'a, const N: usize>(parts: impl Iterator<Item = &'a Rows<N>> + Clone) -> Vec<u8> {
    let mut widths = [LEAST_WIDTH - GAP; N];
    let mut length = 0;
    for part in parts.clone() {
        widths.iter_mut().zip(part.widths).for_each(|(width, more)| *width = (*width).max(more));
        length += part.lengths.len();
    }
    let mut text = Vec::with_capacity(length * widths.iter().map(|width| width + GAP).sum::<usize>());
    for part in parts {
        let mut rest = part.text.as_str();
        for lengths in &part.lengths {
            for (column, length) in lengths.iter().enumerate() {
                let (cell, after) = rest.split_at(*length as usize);
                rest = after;
                text.extend_from_slice(cell.as_bytes());
                if column + 1 < N {
                    let blanks = widths[column] + GAP - cell.chars().count();
                    text.resize(text.len() + blanks, b' ');
                }
            }
            text.push(b'\n');
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns() {
        let (mut first, mut second) = (Rows::default(), Rows::default());
        first.push(["ID", "NAME", "LAST"]);
        second.push(["1", "äöü-longer-than", ""]);
        second.push(["", "", "x"]);
        let expected = "\
ID          NAME              LAST
1           äöü-longer-than   
                              x
";
        assert_eq!(String::from_utf8(format([&first, &second].into_iter())).unwrap(), expected);
    }
}
