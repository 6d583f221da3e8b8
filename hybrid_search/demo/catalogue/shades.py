"""The colours that the demo's products come in, and which go together."""

from __future__ import annotations

from dataclasses import dataclass

from hybrid_search.demo.catalogue.canvas import Colour


@dataclass(frozen=True, slots=True)
class Shade:
    """A colour with its English and Chinese name, the family that a shop filters by, and the names of the colours that suit it."""

    name: str
    family: str
    chinese: str
    rgb: Colour
    partners: tuple[str, ...]


_SHADES = (
    Shade("Red", "Red", "红色", (196, 54, 50), ("Cream", "Navy Blue", "White")),
    Shade("Burgundy", "Red", "酒红色", (124, 40, 56), ("Blush Pink", "Cream", "Tan")),
    Shade("Coral", "Orange", "珊瑚色", (234, 116, 96), ("Cream", "Teal", "White")),
    Shade("Orange", "Orange", "橙色", (228, 128, 52), ("Cream", "Navy Blue", "Brown")),
    Shade("Mustard Yellow", "Yellow", "芥末黄", (222, 170, 62), ("Charcoal", "Cream", "Navy Blue")),
    Shade("Yellow", "Yellow", "黄色", (246, 210, 84), ("White", "Grey", "Sky Blue")),
    Shade("Olive Green", "Green", "橄榄绿", (120, 124, 70), ("Cream", "Mustard Yellow", "Orange")),
    Shade("Forest Green", "Green", "森林绿", (46, 92, 68), ("Cream", "Tan", "Mint Green")),
    Shade("Mint Green", "Green", "薄荷绿", (158, 208, 180), ("White", "Forest Green", "Coral")),
    Shade("Teal", "Green", "蓝绿色", (36, 124, 128), ("Cream", "Coral", "Mustard Yellow")),
    Shade("Sky Blue", "Blue", "天蓝色", (138, 188, 222), ("White", "Navy Blue", "Yellow")),
    Shade("Cobalt Blue", "Blue", "钴蓝色", (48, 86, 172), ("White", "Mustard Yellow", "Sky Blue")),
    Shade("Navy Blue", "Blue", "藏青色", (38, 52, 92), ("White", "Red", "Tan")),
    Shade("Lavender", "Purple", "薰衣草紫", (176, 160, 210), ("White", "Plum Purple", "Yellow")),
    Shade("Plum Purple", "Purple", "梅紫色", (104, 60, 110), ("Lavender", "Cream", "Blush Pink")),
    Shade("Blush Pink", "Pink", "粉红色", (236, 180, 180), ("White", "Burgundy", "Grey")),
    Shade("Raspberry Pink", "Pink", "树莓粉", (206, 70, 118), ("Cream", "Blush Pink", "Navy Blue")),
    Shade("Brown", "Brown", "棕色", (116, 76, 52), ("Cream", "Tan", "Sky Blue")),
    Shade("Tan", "Beige", "棕褐色", (200, 160, 116), ("Cream", "Brown", "Forest Green")),
    Shade("Cream", "Beige", "奶油色", (240, 230, 208), ("Cobalt Blue", "Coral", "Forest Green")),
    Shade("White", "White", "白色", (248, 247, 244), ("Cobalt Blue", "Charcoal", "Red")),
    Shade("Grey", "Grey", "灰色", (160, 164, 168), ("White", "Yellow", "Charcoal")),
    Shade("Charcoal", "Grey", "炭灰色", (70, 72, 80), ("Mustard Yellow", "White", "Coral")),
    Shade("Black", "Black", "黑色", (36, 36, 40), ("White", "Tan", "Red")),
)

SHADES = {shade.name: shade for shade in _SHADES}
