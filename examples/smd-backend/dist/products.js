// What the store sells.
'use strict';

const products = [
  { id: 1, name: 'Enamel mug', price_cents: 1490, stock: 120 },
  { id: 2, name: 'Linen tea towel', price_cents: 1250, stock: 64 },
  { id: 3, name: 'Beech cutting board', price_cents: 3900, stock: 17 },
  { id: 4, name: 'Cast iron pan, 26 cm', price_cents: 5450, stock: 0 },
  { id: 5, name: 'Pepper mill', price_cents: 2890, stock: 33 },
  { id: 6, name: 'Preserving jars, set of 6', price_cents: 1990, stock: 41 },
];

exports.list = ({ inStock }) => products.filter((p) => !inStock || p.stock > 0);

exports.find = (id) => (/^\d+$/.test(id) ? products.find((p) => p.id === Number(id)) : undefined);
