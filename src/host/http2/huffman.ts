/** The Huffman code of header texts (RFC 7541 §5.2, appendix B). It is canonical: the lengths of its codes say all of it. */

/** Length in bits of the code of each byte, and of the end of the text, as digits of base 31. */
const codeLengths =
  "dnsssssssoussussssssssusssssssss6aacd68baa8b8666555666666678f6ca" +
  "d67777777777777777777777878djde6f56565666577666567655677777fbeds" +
  "kmkkmmmnmnnnnnonoomnonnnnlmnmnnomlkmmnnlnmmolmnnllmlnmnnkmmmnmmn" +
  "qqkjmnmpqqqrrqopjlqrrqrollqqsrrrkoklmllnmmppooqnqrqqrrrrrsrrrrrq" +
  "u";
const endOfText = 256;
const invalid = -2;
const nothing = -1;

/** A machine that takes four bits at a time: by state × 16 + bits, the next state, and the byte that they complete (at most one: codes have 5 bits at least). */
interface Machine {
  readonly next: Int16Array;
  readonly symbol: Int16Array;
  /** States in which a text may end: less than a byte of the end's code, which is all ones, after the last whole code. */
  readonly mayEnd: Uint8Array;
}

let built: Machine | undefined;

/** The bytes that were encoded as `bytes[from, to)`, as one character each; undefined for what is no encoded text. */
export function decodeHuffman(bytes: Uint8Array, from: number, to: number): string | undefined {
  const { next, symbol, mayEnd } = (built ??= buildMachine());
  let text = "";
  let state = 0;
  for (let at = from; at < to; at++) {
    const byte = bytes[at] ?? 0;
    for (const bits of [byte >>> 4, byte & 15]) {
      const step = state * 16 + bits;
      const found = symbol[step] ?? invalid;
      if (found === invalid) return undefined;
      if (found !== nothing) text += String.fromCharCode(found);
      state = next[step] ?? 0;
    }
  }
  return mayEnd[state] === 1 ? text : undefined;
}

/** Children of each inner node of the code's tree, for a 0 and for a 1: another node, or −1 − symbol. */
function buildTree(): [number, number][] {
  const tree: [number, number][] = [[0, 0]];
  const symbols = Array.from(codeLengths, (digit, symbol) => ({ symbol, length: Number.parseInt(digit, 31) }));
  symbols.sort((a, b) => a.length - b.length || a.symbol - b.symbol);
  let code = 0;
  let codeLength = symbols[0]?.length ?? 0;
  for (const { symbol, length } of symbols) {
    code *= 2 ** (length - codeLength);
    codeLength = length;
    let node = 0;
    for (let bit = length - 1; bit >= 0; bit--) {
      const side = (code >>> bit) & 1;
      const children = tree[node] ?? [0, 0];
      if (bit === 0) children[side] = -1 - symbol;
      else if (children[side] === 0) {
        children[side] = tree.length;
        tree.push([0, 0]);
      }
      node = children[side] ?? 0;
    }
    code++;
  }
  return tree;
}

function buildMachine(): Machine {
  const tree = buildTree();
  const next = new Int16Array(tree.length * 16);
  const symbol = new Int16Array(tree.length * 16);
  const mayEnd = new Uint8Array(tree.length);
  for (let state = 0; state < tree.length; state++) {
    for (let bits = 0; bits < 16; bits++) {
      let node = state;
      let found = nothing;
      for (let bit = 3; bit >= 0 && found !== invalid; bit--) {
        const child = tree[node]?.[(bits >>> bit) & 1] ?? 0;
        node = Math.max(child, 0);
        if (child < 0) found = child === -1 - endOfText ? invalid : -1 - child;
      }
      next[state * 16 + bits] = node;
      symbol[state * 16 + bits] = found;
    }
  }
  let node = 0;
  for (let ones = 0; ones < 8; ones++) {
    mayEnd[node] = 1;
    node = tree[node]?.[1] ?? 0;
  }
  return { next, symbol, mayEnd };
}
