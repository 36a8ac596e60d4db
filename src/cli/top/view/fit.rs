//! Which columns there is room for, and how wide each is.

use crate::cli::top::columns::Column;

/// What the table looks like at some width.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Fit {
    /// The columns from left to right.
    pub(super) columns: Vec<(Column, usize)>,
    /// Columns of the terminal that the graph of requests takes; 0 is none.
    pub(super) graph: usize,
}

const NAME_MIN: usize = 10;
const NAME_MAX: usize = 32;
const STATE_SHORT: usize = 7;
const STATE_LONG: usize = 12;
const GRAPH_MIN: usize = 6;
const GRAPH_MAX: usize = 12;
const CHECK_MIN: usize = 12;
const CHECK_MAX: usize = 48;

/// What is left out first on a narrow terminal.
const LEFT_OUT: [Column; 9] = [
    Column::Retries,
    Column::P50,
    Column::Cpu,
    Column::Since,
    Column::Weight,
    Column::Share,
    Column::InFlight,
    Column::Errors,
    Column::P99,
];

/// Fits the table into so many columns of the terminal, with names of at most this width. What stands first gets room first:
/// a short graph, whole names, a longer graph, whole words of states, the last check's words.
pub(super) fn fit(width: usize, name: usize) -> Fit {
    let mut columns: Vec<(Column, usize)> = Column::ALL.map(|column| (column, least(column))).to_vec();
    columns.retain(|(column, _)| *column != Column::Check);
    let needed = |columns: &[(Column, usize)]| columns.iter().map(|(_, width)| width + 1).sum::<usize>();
    for left_out in LEFT_OUT {
        if needed(&columns) > width {
            columns.retain(|(column, _)| *column != left_out);
        }
    }
    let mut rest = width.saturating_sub(needed(&columns));
    let mut take = |least: usize, most: usize| {
        let taken = if rest < least { 0 } else { rest.min(most) };
        rest -= taken;
        taken
    };
    let mut graph = take(GRAPH_MIN + 1, GRAPH_MIN + 1);
    let for_name = take(0, name.min(NAME_MAX).saturating_sub(NAME_MIN));
    if graph > 0 {
        graph += take(0, GRAPH_MAX - GRAPH_MIN);
    }
    let for_state = take(STATE_LONG - STATE_SHORT, STATE_LONG - STATE_SHORT);
    let check = take(CHECK_MIN + 1, CHECK_MAX + 1);
    for (column, width) in &mut columns {
        match column {
            Column::Name => *width += for_name,
            Column::State => *width += for_state,
            _ => {}
        }
    }
    if check > 0 {
        columns.push((Column::Check, check - 1));
    }
    Fit { columns, graph: graph.saturating_sub(1) }
}

/// The least that a column needs.
fn least(column: Column) -> usize {
    match column {
        Column::Name => NAME_MIN,
        Column::State => STATE_SHORT,
        Column::InFlight | Column::Rate => 5,
        Column::Check => CHECK_MIN,
        _ => 4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_terminal_of_eighty_columns_shows_every_number_and_a_graph() {
        let Fit { columns, graph } = fit(80, 9);
        assert_eq!(columns.len(), Column::ALL.len() - 1, "all but the last check's words: {columns:?}");
        assert_eq!(graph, 8);
    }

    #[test]
    fn the_table_is_never_wider_than_the_terminal() {
        for width in 40..300 {
            for name in [0, 9, 20, 64] {
                let Fit { columns, graph } = fit(width, name);
                let taken = columns.iter().map(|(_, width)| width + 1).sum::<usize>() + graph;
                assert!(taken <= width, "{taken} of {width}: {columns:?}");
                assert_eq!(columns[0].0, Column::Name);
            }
        }
    }

    #[test]
    fn a_wide_terminal_has_room_for_whole_names_and_words() {
        let Fit { columns, graph } = fit(160, 24);
        let width = |wanted| columns.iter().find(|(column, _)| *column == wanted).map(|(_, width)| *width);
        assert_eq!((width(Column::Name), width(Column::State)), (Some(24), Some(STATE_LONG)));
        assert!(width(Column::Check) >= Some(CHECK_MIN) && graph == GRAPH_MAX, "{columns:?} {graph}");
    }
}
