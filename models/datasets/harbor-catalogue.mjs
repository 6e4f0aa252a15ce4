// The catalogue of Harbor & Pine, a made-up shop: 520 products this week, and the same 520 with new prices and stock next week.
// Not here: what customers ask about them (harbor-conversations.mjs).

import { article, seeded } from './seeded.mjs';

const SERIES = [
  'Grey Gull',
  'Fern Hill',
  'Old Quay',
  'Salt Wind',
  'Pine Bark',
  'Moon Bay',
  'Red Buoy',
  'Soft Rain',
  'North Star',
  'Lark Song',
  'Stone Cove',
  'Amber Leaf',
  'Quiet Tide',
  'Fox Glen',
  'White Sail',
  'Moss Lane',
  'Cedar Point',
  'Blue Heron',
  'Sand Dune',
  'Owl Wood',
  'Storm Lamp',
  'Honey Creek',
  'Birch Row',
  'Silver Cod',
  'Plum Yard',
  'Long Pier',
  'Dawn Mist',
  'Bell Rock',
  'Wild Thyme',
  'Otter Run',
  'Low Meadow',
  'Copper Kite',
  'Elm Gate',
  'Sea Holly',
  'Kind Harbour',
  'Robin Field',
  'Deep Well',
  'Oak Cabin',
  'Winter Wren',
  'Clover Path',
];

// Each kind of product: its shelf, the materials it comes in, the lowest and highest price in pounds, and what it is for.
const KINDS = [
  {
    kind: 'mug',
    category: 'table',
    materials: ['clay', 'enamel', 'glass'],
    price: [6, 18],
    use: 'for tea on a cold morning',
  },
  {
    kind: 'bowl',
    category: 'table',
    materials: ['clay', 'oak', 'glass'],
    price: [9, 32],
    use: 'for soup, fruit or bread',
  },
  {
    kind: 'lamp',
    category: 'light',
    materials: ['brass', 'glass', 'pine'],
    price: [24, 95],
    use: 'for the desk or the window',
  },
  {
    kind: 'candle',
    category: 'light',
    materials: ['beeswax', 'soy wax'],
    price: [4, 19],
    use: 'for a quiet evening',
  },
  {
    kind: 'blanket',
    category: 'warm things',
    materials: ['wool', 'cotton', 'linen'],
    price: [28, 110],
    use: 'for the sofa or the boat',
  },
  {
    kind: 'scarf',
    category: 'warm things',
    materials: ['wool', 'cotton'],
    price: [14, 48],
    use: 'for a walk by the sea',
  },
  {
    kind: 'chair',
    category: 'furniture',
    materials: ['pine', 'oak', 'wicker'],
    price: [49, 180],
    use: 'for the kitchen or the porch',
  },
  {
    kind: 'table',
    category: 'furniture',
    materials: ['pine', 'oak', 'elm'],
    price: [85, 290],
    use: 'for four people and a pie',
  },
  {
    kind: 'basket',
    category: 'storage',
    materials: ['wicker', 'rope', 'felt'],
    price: [11, 45],
    use: 'for wood, wool or apples',
  },
  {
    kind: 'box',
    category: 'storage',
    materials: ['tin', 'pine', 'oak'],
    price: [8, 38],
    use: 'for letters and small things',
  },
  {
    kind: 'clock',
    category: 'wall',
    materials: ['brass', 'oak', 'tin'],
    price: [22, 90],
    use: 'for the hall or the kitchen',
  },
  {
    kind: 'mirror',
    category: 'wall',
    materials: ['brass', 'pine', 'rope'],
    price: [26, 120],
    use: 'for the hall or the bath',
  },
  {
    kind: 'rug',
    category: 'floor',
    materials: ['wool', 'jute', 'cotton'],
    price: [35, 160],
    use: 'for bare feet',
  },
];

export const CATEGORIES = [...new Set(KINDS.map((k) => k.category))];

/** 520 products: forty series of thirteen kinds. Prices in whole pounds; `stock` in pieces, 0 when sold out. */
export function catalogue() {
  const random = seeded(520);
  const products = SERIES.flatMap((series) =>
    KINDS.map(({ kind, category, materials, price: [low, high], use }) => {
      const material = random.pick(materials);
      const price = low + random.below(high - low + 1);
      const stock = random.next() < 0.12 ? 0 : 1 + random.below(40);
      const description = `${article(material) === 'an' ? 'An' : 'A'} ${kind} made of ${material}, ${use}.`;
      return { name: `${series} ${kind}`, category, price, stock, material, description };
    }),
  );
  return random
    .shuffle(products)
    .map((product, i) => ({ id: `HP-${String(i + 1).padStart(3, '0')}`, ...product }));
}

/**
 * The catalogue a week later. Exactly a fifth of the products (104) changed: price, stock, or both.
 * `changes` lists each with its old and new values.
 */
export function nextWeek(products) {
  const random = seeded(521);
  const chosen = new Set(random.shuffle(products.map((p) => p.id)).slice(0, products.length / 5));
  const changes = [];
  const after = products.map((product) => {
    if (!chosen.has(product.id)) return product;
    const what = random.pick(['price', 'stock', 'both']);
    const next = { ...product };
    if (what !== 'stock') {
      const by = Math.max(1, Math.round(product.price * (0.08 + 0.2 * random.next())));
      next.price = random.next() < 0.5 && product.price - by >= 3 ? product.price - by : product.price + by;
    }
    if (what !== 'price')
      next.stock =
        product.stock === 0
          ? 5 + random.below(30)
          : random.next() < 0.4
            ? 0
            : product.stock + 3 + random.below(20);
    changes.push({
      id: product.id,
      name: product.name,
      price: { before: product.price, after: next.price },
      stock: { before: product.stock, after: next.stock },
    });
    return next;
  });
  return { products: after, changes };
}

const COLUMNS = ['id', 'name', 'category', 'price', 'stock', 'material', 'description'];

/** CSV with a header; only the description holds commas and is quoted. */
export function toCsv(products) {
  const cell = (value) => (String(value).includes(',') ? `"${value}"` : String(value));
  return `${COLUMNS.join(',')}\n${products.map((p) => COLUMNS.map((c) => cell(p[c])).join(',')).join('\n')}\n`;
}
