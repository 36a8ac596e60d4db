/**
 * The colour and the dash of each backend: the same in every graph, and the same as on the Grafana boards. The colours
 * themselves are in `theme.css`, for light and for dark.
 */

/** How many there are; after them they repeat. */
const SLOTS = 8;

/**
 * Returns the slot of a backend, 1 to 8: by the number at the end of its name, else by its position.
 * @param {string} name
 * @param {number} position from 0
 */
export function slotOf(name, position) {
  const number = /-(\d+)$/.exec(name)?.[1];
  const index = number === undefined ? position : Number(number) - 1;
  return (((index % SLOTS) + SLOTS) % SLOTS) + 1;
}
