"""What shops call their fields: patterns by product field, with how sure each is and whose dialect it is."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from typing import Literal

Kind = Literal[
    "text", "word", "number", "count", "date", "image", "availability", "stock", "gtin", "language", "currency", "category", "id"
]
"""What the values of a field must look like."""

COMMON, MAGENTO, ELASTICSUITE, WOO = "common", "Magento", "ElasticSuite (Magento)", "WooCommerce with ElasticPress"


@dataclass(frozen=True, slots=True)
class NamePattern:
    """A pattern of a whole path (``full``) or of its last step, in lower case with ``_`` between words."""

    pattern: re.Pattern[str]
    sure: float
    dialect: str = COMMON
    full: bool = False


def _common(sure: float, names: str) -> NamePattern:
    return NamePattern(re.compile(names.replace(" ", "|")), sure)


def _path(sure: float, dialect: str, pattern: str) -> NamePattern:
    return NamePattern(re.compile(pattern), sure, dialect, full=True)


def _woo(sure: float, key: str, types: str = "value|raw") -> NamePattern:
    """ElasticPress keeps each piece of post meta under several types."""
    return _path(sure, WOO, rf"meta\.{key}(\.({types}))?")


def _option(*names: str) -> tuple[NamePattern, ...]:
    """An attribute as each dialect writes its label."""
    joined = "|".join(names)
    return (
        _path(0.97, ELASTICSUITE, rf"option_text_({joined})"),
        _path(0.97, MAGENTO, rf"({joined})_value"),
        _path(0.95, WOO, rf"terms\.pa_({joined})\.name"),
        _common(0.9, " ".join((*names, *(f"{name}_name" for name in names), *(f"{name}_label" for name in names)))),
    )


@dataclass(frozen=True, slots=True)
class TargetNames:
    """Names for one product field; ``several`` says how many source fields may fill it, ``never_in`` inside which objects none is.

    ``stock`` are names of numbers that tell how many there are.
    """

    kind: Kind
    patterns: tuple[NamePattern, ...]
    several: int = 1
    never_in: frozenset[str] = frozenset()
    stock: tuple[NamePattern, ...] = ()


_NAME = "name|title|label|nom|titre|libelle|nome|titolo|nombre|titulo|titel|bezeichnung"
_MAKERS = ("brand", "manufacturer", "hersteller", "marke", "marque", "fabricant", "marca", "produttore", "fabricante")
_CATEGORIES = "categories|category|taxonomy|department|kategorie|kategorien|categorie|categoria|categorias"
_OTHERS_NAMED = frozenset(
    (
        *_MAKERS, *_CATEGORIES.split("|"), "warengruppe",
        "brands", "manufacturers", "vendor", "maker", "make", "producer", "supplier", "seller", "author",
        "lieferant", "fournisseur", "fornitore", "proveedor", "tags", "tag", "store", "shop", "website", "collection",
    )
)  # fmt: skip
"""Objects whose name is not the product's."""

TARGETS: dict[str, TargetNames] = {
    "title": TargetNames(
        "text",
        (
            _common(1.0, "title name post_title product_name product_title"),
            _common(
                1.0,
                "titel produktname produkttitel artikelname titre nom nom_produit nome titolo nome_prodotto nombre titulo nombre_producto",
            ),
            _common(0.9, "bezeichnung artikelbezeichnung produktbezeichnung libelle designation intitule denominazione denominacion"),
            _common(0.7, "label headline display_name item_name heading"),
            _path(0.95, COMMON, rf"({_NAME}|product_name|produktname)\.(en|default|value|text)"),
            _path(0.9, COMMON, rf"({_NAME}|product_name|produktname)\.(de|fr|it|es)"),
        ),
        never_in=_OTHERS_NAMED,
    ),
    "description": TargetNames(
        "text",
        (
            _common(1.0, "description post_content long_description product_description"),
            _common(
                1.0, "beschreibung produktbeschreibung langbeschreibung artikelbeschreibung descrizione descripcion description_longue"
            ),
            _common(0.7, "kurzbeschreibung descrizione_breve descripcion_corta description_courte descriptif kurztext"),
            _common(0.8, "langtext body_html body content details full_description desc text"),
            _common(0.7, "short_description post_excerpt summary excerpt teaser"),
            _path(
                0.95,
                COMMON,
                r"(description|body|content|beschreibung|descrizione|descripcion)\.(en|default|value|text|long|lang|html)",
            ),
        ),
        several=2,
    ),
    "category": TargetNames(
        "category",
        (
            _path(0.98, WOO, r"terms\.product_cat\.name"),
            _path(0.96, ELASTICSUITE, r"category\.name"),
            _path(0.9, MAGENTO, r"name_category_\d+"),
            _common(0.95, "category_path category_names breadcrumb breadcrumbs category_name"),
            _path(0.95, COMMON, rf"({_CATEGORIES}|warengruppe)\.({_NAME}|path|pfad|chemin|percorso|ruta)"),
            _common(0.9, "kategorie kategorien kategoriepfad warengruppe categorie categoria categorias"),
            _common(0.9, "category categories taxonomy department product_type google_product_category"),
        ),
    ),
    "brand": TargetNames(
        "word",
        (
            *_option(*_MAKERS),
            _path(0.95, WOO, r"terms\.(product_brand|pwb-brand|yith_product_brand)\.name"),
            _path(0.95, COMMON, rf"({'|'.join(_MAKERS)}|vendor|maker)\.({_NAME})"),
            _common(0.9, "herstellername markenname nom_marque nome_marca nombre_marca"),
            _common(0.8, "vendor maker make label_name producer"),
        ),
    ),
    "color": TargetNames(
        "word", (*_option("color", "colour", "farbe", "couleur", "colore"), _common(0.7, "base_color primary_color main_color"))
    ),
    "size": TargetNames("word", _option("size", "groesse", "grosse", "taille", "taglia", "talla")),
    "material": TargetNames("word", (*_option("material", "matiere", "materiale"), _common(0.7, "fabric composition"))),
    "price": TargetNames(
        "number",
        (
            _path(0.98, ELASTICSUITE, r"price\.(final_price)"),
            _path(0.8, ELASTICSUITE, r"price\.(price)"),
            _path(0.97, MAGENTO, r"price_0_1"),
            _path(0.8, MAGENTO, r"price_0_\d+"),
            _woo(0.98, "_price", "double"),
            _woo(0.8, "_price", "value|raw|long"),
            _woo(0.7, "_regular_price", "double"),
            _common(1.0, "price current_price final_price price_amount selling_price unit_price"),
            _common(
                1.0,
                "preis verkaufspreis bruttopreis preis_brutto endpreis prix prix_ttc prix_vente prezzo prezzo_vendita precio precio_venta",
            ),
            _common(0.8, "sale_price regular_price list_price msrp amount price_value price_cents price_minor"),
            _path(0.9, COMMON, r"(price|prices|offer|offers|pricing)\.(amount|value|current|price|gross|cents|final)"),
            _path(
                0.9,
                COMMON,
                r"(preis|preise|prix|prezzo|prezzi|precio|precios)\.(brutto|betrag|wert|value|amount|montant|valeur|ttc|importo|valore|importe|valor)",
            ),
        ),
    ),
    "currency": TargetNames(
        "currency", (_common(0.95, "currency price_currency currency_code waehrung wahrung devise valuta moneda divisa"),)
    ),
    "availability": TargetNames(
        "availability",
        (
            _path(0.98, ELASTICSUITE, r"stock\.is_in_stock"),
            _woo(0.98, "_stock_status", "value|raw"),
            _common(0.95, "availability in_stock is_in_stock stock_status available is_available"),
            _common(
                0.9,
                "verfuegbar verfugbar verfuegbarkeit verfugbarkeit lieferbar disponible disponibilite en_stock disponibile disponibilita disponibilidad",
            ),
            _path(0.8, COMMON, r"(stock|inventory|offer|offers)\.(status|available|availability|in_stock)"),
            _common(0.6, "quantity_and_stock_status stock"),  # not sold_out: its "true" is the opposite
        ),
        stock=(
            _path(0.75, COMMON, r"(stock|inventory|lager)\.(qty|quantity|on_hand|available|amount|bestand|menge)"),
            _common(0.75, "stock stock_qty stock_quantity stock_level qty qty_available quantity_available inventory_quantity on_hand"),
            _common(0.75, "bestand lagerstand lagerbestand lagermenge quantite_stock stock_disponible giacenza giacenze existencias"),
        ),
    ),
    "rating": TargetNames(
        "number",
        (
            _woo(0.98, "_wc_average_rating", "double"),
            _woo(0.8, "_wc_average_rating", "value|raw"),
            _path(0.95, COMMON, r"(ratings|rating|reviews|review)\.(average|avg|value|mean|score|summary)"),
            _common(0.95, "rating average_rating rating_average avg_rating rating_value rating_summary stars star_rating"),
            _common(0.9, "bewertung durchschnittsbewertung sterne note_moyenne valutazione valoracion"),
            _common(0.6, "review_score score"),
        ),
    ),
    "rating_count": TargetNames(
        "count",
        (
            _woo(0.98, "_wc_review_count", "long"),
            _woo(0.8, "_wc_review_count", "value|raw"),
            _path(0.95, COMMON, r"(ratings|rating|reviews|review)\.(count|total|number)"),
            _common(0.95, "rating_count ratings_count review_count reviews_count num_reviews number_of_reviews"),
            _common(0.9, "anzahl_bewertungen bewertungsanzahl bewertungen nombre_avis nb_avis numero_recensioni"),
        ),
    ),
    "gtin": TargetNames("gtin", (_common(0.95, "gtin ean ean13 upc gtin13 gtin14 isbn barcode"), _woo(0.95, "_global_unique_id"))),
    "mpn": TargetNames("word", (_common(0.95, "mpn manufacturer_part_number part_number"), _common(0.6, "model_number model"))),
    "sku": TargetNames(
        "word",
        (
            _common(1.0, "sku"),
            _woo(0.98, "_sku"),
            _common(0.8, "article_number item_number product_code artikelnummer artikelnr codice_articolo referencia"),
        ),
    ),
    "group_id": TargetNames(
        "id",
        (
            _common(0.95, "group_id item_group_id parent_sku style_id master_id product_group_id variant_group"),
            _common(0.8, "parent_id post_parent model_id family_id"),
        ),
    ),
    "language": TargetNames("language", (_common(0.95, "language lang locale"),)),
    "created": TargetNames(
        "date",
        (
            _common(0.95, "created_at created date_created creation_date created_on post_date_gmt"),
            _common(0.9, "erstellt_am angelegt_am date_creation cree_le creato_il data_creazione creado fecha_creacion"),
            _common(0.8, "post_date release_date published_at"),
        ),
    ),
    "updated": TargetNames(
        "date",
        (
            _common(0.95, "updated_at updated modified_at date_modified last_modified changed_at post_modified_gmt last_updated"),
            _common(
                0.9,
                "geaendert_am geandert_am aktualisiert_am date_modification modifie_le aggiornato_il data_modifica actualizado fecha_actualizacion",
            ),
            _common(0.8, "post_modified modified timestamp indexed_at last_update"),
        ),
    ),
    "images": TargetNames(
        "image",
        (
            _path(0.97, WOO, r"thumbnail\.src"),
            _path(
                0.95, COMMON, r"(images|image|pictures|picture|media|photos|photo|gallery|thumbnail)\.(url|src|href|link|file|path|large)"
            ),
            _common(0.95, "images image image_url image_urls image_link base_image picture pictures picture_url main_image"),
            _path(0.95, COMMON, r"(bild|bilder|medien|immagine|immagini|imagen|imagenes|foto|fotos)\.(url|src|href|link|datei|pfad|path)"),
            _common(0.95, "bild bilder bild_url hauptbild image_principale immagine immagini imagen imagenes imagen_principal foto fotos"),
            _common(0.8, "photo photos gallery media_gallery img additional_images"),
            _common(0.6, "small_image thumbnail thumbnail_url"),
        ),
        several=2,
    ),
    "popularity": TargetNames(
        "number",
        (
            _woo(0.95, "total_sales", "long"),
            _woo(0.8, "total_sales", "value|raw|double"),
            _common(0.9, "popularity total_sales sales_count sales sold units_sold ordered_qty bestseller"),
            _common(0.6, "views view_count clicks"),
        ),
    ),
}
"""Product fields that are looked for, in the order of the file that is written; ``id`` and what to follow are found otherwise."""

ATTRIBUTES: tuple[NamePattern, ...] = (
    _path(0.9, WOO, r"terms\.pa_([a-z0-9_-]+)\.name"),
    _path(0.9, ELASTICSUITE, r"option_text_([a-z0-9_]+)"),
    _path(0.85, MAGENTO, r"([a-z0-9_]+)_value"),
    _path(0.85, COMMON, r"(?:attributes|attrs|specs|specifications|properties|features|facets)\.([a-z0-9_ -]+)"),
)
"""Further facts; the group is the attribute's name."""

NO_ATTRIBUTES = frozenset({"status", "visibility", "tax_class_id", "tax_class", "store", "website", "url_key"})
"""What is said of a listing, not of the thing."""

PAIR_NAMES = ("name", "key", "code", "attribute", "label")
PAIR_VALUES = ("value", "values", "text", "option")
"""Steps under which an array of objects tells attributes as pairs."""

SEQUENCES = re.compile(r"(.*_)?(sequence|seq|revision|change_id|version_id|event_id)")
"""Numbers that grow with every change."""

WRAPPERS = frozenset(
    (
        "product", "item", "doc", "document", "data", "fields", "attributes", "source",
        "produkt", "artikel", "produit", "article", "prodotto", "articolo", "producto", "articulo",
    )
)  # fmt: skip
"""Objects that a whole product is wrapped in."""

_WORDS = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")


def normal(path: str) -> str:
    """A path in lower case without accents, ``camelCase`` as ``camel_case``, hyphens kept."""
    cut = _WORDS.sub("_", path).lower()
    return (
        cut if cut.isascii() else "".join(c for c in unicodedata.normalize("NFKD", cut.replace("ß", "ss")) if not unicodedata.combining(c))
    )


def match(
    patterns: tuple[NamePattern, ...], path: str, never_in: frozenset[str] = frozenset()
) -> tuple[NamePattern, float, re.Match[str]] | None:
    """The surest pattern that a path fits, the first one among equals, how sure it is there, and what it matched.

    A common name inside an object may belong to the object (``maker.name``), so it counts for less, and inside ``never_in`` not at all.
    """
    whole = normal(path)
    steps = whole.split(".")
    while len(steps) > 1 and steps[0] in WRAPPERS:
        steps.pop(0)
    if never_in.intersection(steps[:-1]):
        return None
    inside = 0.6 if len(steps) > 1 else 1.0
    fitting = [
        (pattern, pattern.sure * (1.0 if pattern.full else inside), found)
        for pattern in patterns
        for text in ((whole, ".".join(steps)) if pattern.full else (steps[-1],))
        if (found := pattern.pattern.fullmatch(text)) is not None
    ]
    return max(fitting, key=lambda told: told[1]) if fitting else None
