"""Field names of shops in German, French, Italian and Spanish: what a person who reads them would write down."""

from __future__ import annotations

from typing import Any

import pytest

from hybrid_search.attach.propose import propose
from hybrid_search.attach.schema import fields_of
from hybrid_search.attach.source import SourceDocument, SourceIndex

KINDS: dict[type, str] = {str: "text", float: "double", int: "long", bool: "boolean"}


def mapping_of(value: Any) -> dict[str, Any]:
    if isinstance(value, dict):
        return {"properties": {key: mapping_of(inner) for key, inner in value.items()}}
    return {"type": KINDS[type(value)]}


def proposed(document: dict[str, Any]) -> dict[str, list[str]]:
    fields = fields_of(mapping_of(document))
    index = SourceIndex("shop", "shop", "u", "opensearch", "3.5.0", fields, 5, True)
    sample = [SourceDocument(str(n), document) for n in range(5)]
    return {target: [guess.path for guess in guesses] for target, guesses in propose(index, sample).fields.items()}


SHOPS: dict[str, tuple[dict[str, Any], dict[str, list[str]]]] = {
    "german": (
        {
            "bezeichnung": "Wasserkocher rot",
            "hersteller": {"name": "Norda GmbH", "land": "DE"},
            "beschreibung": "Ein roter Kocher.",
            "preis": {"brutto": 19.99, "netto": 16.8},
            "währung": "EUR",
            "kategorie": {"pfad": "Heim/Küche"},
            "farbe": "rot",
            "größe": "XL",
            "verfügbar": True,
            "bildUrl": "https://shop.example/1.jpg",
            "artikelnummer": "A-1",
            "lieferant": {"name": "Großhandel Nord"},
        },
        {
            "title": ["bezeichnung"],
            "brand": ["hersteller.name"],
            "description": ["beschreibung"],
            "price": ["preis.brutto"],
            "currency": ["währung"],
            "category": ["kategorie.pfad"],
            "color": ["farbe"],
            "size": ["größe"],
            "availability": ["verfügbar"],
            "images": ["bildUrl"],
            "sku": ["artikelnummer"],
        },
    ),
    "german, wrapped, with a name": (
        {
            "produkt": {
                "name": "Wasserkocher",
                "marke": {"bezeichnung": "Norda"},
                "preis": 19.99,
                "bilder": {"url": "https://s.example/1.jpg"},
            }
        },
        {"title": ["produkt.name"], "brand": ["produkt.marke.bezeichnung"], "price": ["produkt.preis"], "images": ["produkt.bilder.url"]},
    ),
    "german, without a title": (
        {"hersteller": {"name": "Norda"}, "preis": 19.99},
        {"brand": ["hersteller.name"], "price": ["preis"]},
    ),
    "french": (
        {
            "libellé": "Bouilloire rouge",
            "marque": {"nom": "Norda"},
            "description": "Une bouilloire.",
            "prix_ttc": 19.99,
            "catégorie": {"nom": "Cuisine"},
            "couleur": "rouge",
            "image": "https://shop.example/1.jpg",
            "disponible": True,
        },
        {
            "title": ["libellé"],
            "brand": ["marque.nom"],
            "description": ["description"],
            "price": ["prix_ttc"],
            "category": ["catégorie.nom"],
            "color": ["couleur"],
            "images": ["image"],
            "availability": ["disponible"],
        },
    ),
    "italian": (
        {
            "nome": "Bollitore rosso",
            "produttore": {"nome": "Norda"},
            "descrizione": "Un bollitore.",
            "prezzo": 19.99,
            "categoria": "Cucina",
            "colore": "rosso",
            "immagini": {"url": "https://shop.example/1.jpg"},
            "disponibilità": True,
        },
        {
            "title": ["nome"],
            "brand": ["produttore.nome"],
            "description": ["descrizione"],
            "price": ["prezzo"],
            "category": ["categoria"],
            "color": ["colore"],
            "images": ["immagini.url"],
            "availability": ["disponibilità"],
        },
    ),
    "spanish": (
        {
            "título": "Hervidor rojo",
            "fabricante": {"nombre": "Norda"},
            "descripción": "Un hervidor.",
            "precio": {"importe": 19.99},
            "categoría": "Cocina",
            "imagen": "https://shop.example/1.jpg",
        },
        {
            "title": ["título"],
            "brand": ["fabricante.nombre"],
            "description": ["descripción"],
            "price": ["precio.importe"],
            "category": ["categoría"],
            "images": ["imagen"],
        },
    ),
}


@pytest.mark.parametrize("shop", SHOPS)
def test_names_of_other_languages_are_recognised(shop: str) -> None:
    document, expected = SHOPS[shop]
    found = proposed(document)
    assert found.pop("id") == ["_id"]
    assert found == expected


def test_an_object_s_name_is_never_the_title() -> None:
    for owner in ("hersteller", "marke", "fabricant", "marque", "produttore", "marca", "fabricante", "brand", "manufacturer", "lieferant"):
        for name in ("name", "titel", "nom", "label", "nombre"):
            assert "title" not in proposed({owner: {name: "Norda"}}), (owner, name)
