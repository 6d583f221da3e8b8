"""What the demo shop sells: one entry per kind of thing, with its drawing, its words and its facts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from hybrid_search.demo.catalogue import draw_bags, draw_clothing, draw_home, draw_things
from hybrid_search.demo.catalogue.canvas import Canvas
from hybrid_search.demo.catalogue.look import Look


@dataclass(frozen=True, slots=True)
class Material:
    """A material with its names, the grain it is drawn with and its gloss (0 to 1)."""

    name: str
    chinese: str
    grain: str
    gloss: float


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of product.

    ``shapes`` names the forms in the order of the drawing's ``shape``, English and Chinese; ``price`` is the usual span in dollars;
    ``detail`` the middle and the width of the part worth a close-up, in units of the drawing board; ``praise`` and ``complaint`` what shoppers say.
    """

    code: str
    draw: Callable[[Canvas, Look], None]
    floor: bool
    category: tuple[str, ...]
    shapes: tuple[tuple[str, str], ...]
    materials: tuple[Material, ...]
    price: tuple[float, float]
    patterns: tuple[str, ...]
    facts: dict[str, tuple[str, ...]]
    use: str
    use_chinese: str
    praise: tuple[str, ...]
    complaint: str
    sizes: tuple[str, ...] = ()
    detail: tuple[float, float, float] = (500, 500, 440)
    shades: tuple[str, ...] = field(default=())


_STONEWARE = Material("stoneware", "陶瓷", "clay", 0.14)
_PORCELAIN = Material("porcelain", "瓷器", "", 0.34)
_GLAZED = Material("glazed ceramic", "釉面陶瓷", "", 0.42)
_STEEL = Material("stainless steel", "不锈钢", "brushed", 0.3)
_COTTON = Material("cotton", "棉质", "fabric", 0.05)
_LINEN = Material("linen", "亚麻", "fabric", 0.04)
_VELVET = Material("velvet", "丝绒", "pile", 0.16)
_WOOL = Material("wool", "羊毛", "pile", 0.03)
_KNIT = Material("merino wool", "美利奴羊毛", "knit", 0.03)
_CANVAS = Material("canvas", "帆布", "fabric", 0.06)
_LEATHER = Material("leather", "皮革", "leather", 0.24)
_SUEDE = Material("suede", "麂皮", "pile", 0.04)
_STRAW = Material("straw", "草编", "straw", 0.08)
_FELT = Material("wool felt", "羊毛毡", "pile", 0.05)
_ACETATE = Material("acetate", "板材", "", 0.4)
_NYLON = Material("recycled nylon", "再生尼龙", "fabric", 0.12)
_ALUMINIUM = Material("aluminium", "铝合金", "brushed", 0.35)
_SPRUCE = Material("spruce", "云杉木", "wood", 0.3)
_JUTE = Material("jute", "黄麻", "straw", 0.03)
_SHELL = Material("polycarbonate", "聚碳酸酯", "", 0.36)

_PRINTS = ("plain", "striped", "dotted", "floral", "geometric", "leaf", "speckled", "wave", "two-tone", "ombre")
_CLOTHS = ("plain", "striped", "dotted", "floral", "checked", "leaf", "star")
_QUIET = ("plain", "plain", "two-tone", "pinstriped", "geometric", "checked")

KINDS: tuple[Kind, ...] = (
    Kind(
        "mug", draw_home.mug, True, ("Home & Kitchen", "Tableware", "Mugs"),
        (("mug", "马克杯"), ("coffee mug", "咖啡杯"), ("rounded mug", "圆肚马克杯"), ("tall mug", "高马克杯")),
        (_STONEWARE, _PORCELAIN, _GLAZED), (9, 26), _PRINTS,
        {"capacity": ("300 ml", "350 ml", "420 ml"), "care": ("Dishwasher safe", "Microwave safe")},
        "for a slow morning coffee or a strong cup of tea", "适合清晨的咖啡或下午的热茶",
        ("Feels good in the hand and keeps my coffee hot.", "The glaze is even prettier than in the picture."), "Smaller than I thought.", detail=(440, 470, 380),
    ),
    Kind(
        "pot", draw_home.teapot, True, ("Home & Kitchen", "Tableware", "Teapots"),
        (("teapot", "茶壶"), ("low teapot", "扁茶壶"), ("large teapot", "大茶壶")),
        (_PORCELAIN, _GLAZED, _STONEWARE), (24, 62), _PRINTS,
        {"capacity": ("0.8 l", "1.1 l", "1.4 l"), "care": ("Hand wash",)},
        "that pours four cups without a drip", "可倒四杯茶，不滴漏",
        ("Pours cleanly, no drips at all.", "A lovely gift, my mother uses it every day."), "The lid sits a little loose.", detail=(500, 500, 400),
    ),
    Kind(
        "bot", draw_home.bottle, True, ("Sports & Outdoors", "Hydration", "Water Bottles"),
        (("insulated water bottle", "保温水瓶"), ("slim water bottle", "细长水瓶"), ("straw water bottle", "吸管水瓶")),
        (_STEEL, _ALUMINIUM), (16, 42), ("plain", "ombre", "two-tone", "striped", "leaf", "terrazzo", "wave"),
        {"capacity": ("500 ml", "650 ml", "750 ml"), "keeps": ("24 hours cold", "12 hours hot")},
        "for the office, the gym and long walks", "适合办公室、健身房和户外徒步",
        ("Keeps ice for a whole day.", "No leaks in my bag so far."), "The paint chipped after a fall.", detail=(500, 300, 400),
    ),
    Kind(
        "vas", draw_home.vase, True, ("Home & Kitchen", "Decor", "Vases"),
        (("vase", "花瓶"), ("amphora vase", "双耳形花瓶"), ("bud vase", "小口花瓶"), ("tapered vase", "锥形花瓶")),
        (_STONEWARE, _GLAZED, _PORCELAIN), (18, 75), ("plain", "striped", "speckled", "leaf", "two-tone", "geometric", "ombre", "terrazzo"),
        {"height": ("22 cm", "28 cm", "34 cm"), "style": ("Hand thrown", "Modern", "Rustic")},
        "for a bunch of tulips or a few dried stems", "可插鲜花或干花",
        ("Heavy and stable, and the glaze has depth.", "Looks wonderful with dried grass."), "The opening is narrow for big bouquets.", detail=(500, 620, 400),
    ),
    Kind(
        "lam", draw_home.lamp, True, ("Home & Kitchen", "Lighting", "Table Lamps"),
        (("table lamp", "台灯"), ("bedside lamp", "床头灯"), ("dome lamp", "圆顶台灯")),
        (_LINEN, _COTTON), (35, 120), ("plain", "plain", "striped", "pinstriped", "floral", "leaf", "dotted"),
        {"bulb": ("E27, 40 W", "E14, 25 W"), "light": ("Warm white",)},
        "that gives a warm light to read by", "光线温暖，适合阅读",
        ("The light is warm and soft.", "Exactly right for my bedside table."), "The cable could be longer.", detail=(500, 360, 420),
    ),
    Kind(
        "cha", draw_home.chair, True, ("Furniture", "Seating", "Chairs"),
        (("dining chair", "餐椅"), ("armchair", "扶手椅"), ("stool", "圆凳")),
        (_VELVET, _LINEN, _COTTON), (60, 340), ("plain", "plain", "plain", "striped", "floral", "checked"),
        {"legs": ("Solid oak", "Walnut"), "load": ("120 kg",)},
        "with a padded seat and solid wooden legs", "坐垫柔软，实木椅腿",
        ("Very comfortable, even after a long dinner.", "Easy to put together."), "One leg was a bit shorter.", detail=(500, 380, 420),
    ),
    Kind(
        "cus", draw_home.cushion, False, ("Home & Kitchen", "Textiles", "Cushions"),
        (("cushion", "抱枕"), ("round cushion", "圆形抱枕"), ("lumbar cushion", "腰枕")),
        (_COTTON, _LINEN, _VELVET), (14, 48), ("plain", "striped", "floral", "checked", "chevron", "leaf", "geometric", "dotted"),
        {"filling": ("Feather", "Recycled fibre"), "cover": ("Removable, washable at 30 °C",)},
        "for the sofa, the bed or a reading corner", "适合沙发、床头或阅读角",
        ("Soft but keeps its shape.", "The colours match my sofa perfectly."), "The zip is stiff.", detail=(470, 480, 380),
    ),
    Kind(
        "rug", draw_home.rug, False, ("Home & Kitchen", "Textiles", "Rugs"),
        (("rug", "地毯"), ("medallion rug", "菱形图案地毯"), ("round rug", "圆形地毯")),
        (_WOOL, _COTTON, _JUTE), (55, 290), ("plain", "striped", "geometric", "chevron", "checked", "leaf"),
        {"pile": ("Flat woven", "Short pile"), "room": ("Living room", "Bedroom")},
        "that warms a room and is soft under bare feet", "脚感柔软，温暖整个房间",
        ("Thick, soft and does not slip.", "Makes the living room feel finished."), "It shed a little in the first week.",
        sizes=("120 × 180 cm", "160 × 230 cm", "200 × 300 cm"), detail=(330, 640, 380),
    ),
    Kind(
        "tee", draw_clothing.tee, False, ("Clothing", "Tops", "T-Shirts"),
        (("T-shirt", "T恤"), ("V-neck T-shirt", "V领T恤"), ("long-sleeve T-shirt", "长袖T恤")),
        (_COTTON, Material("organic cotton", "有机棉", "fabric", 0.04), _LINEN), (12, 38), _CLOTHS,
        {"fit": ("Regular", "Relaxed"), "care": ("Machine wash 30 °C",)},
        "cut for every day", "日常百搭",
        ("Soft, and it did not shrink.", "True to size."), "The fabric is thin.", sizes=("S", "M", "L"), detail=(500, 300, 420),
    ),
    Kind(
        "dre", draw_clothing.dress, False, ("Clothing", "Dresses", "Day Dresses"),
        (("summer dress", "夏季连衣裙"), ("midi dress", "中长连衣裙"), ("shirt dress", "衬衫连衣裙")),
        (_COTTON, _LINEN, Material("viscose", "人造丝", "fabric", 0.08)), (35, 110), _CLOTHS,
        {"fit": ("A-line", "Fitted waist"), "care": ("Gentle wash",)},
        "that is light to wear and easy to dress up", "轻盈舒适，易于搭配",
        ("Falls beautifully and has pockets.", "I got so many compliments."), "Runs one size small.", sizes=("S", "M", "L"), detail=(500, 300, 420),
    ),
    Kind(
        "sne", draw_clothing.sneaker, True, ("Shoes", "Sneakers"),
        (("sneakers", "运动鞋"), ("high-top sneakers", "高帮帆布鞋"), ("running shoes", "跑鞋")),
        (_CANVAS, _LEATHER, Material("knitted mesh", "针织网布", "knit", 0.08)), (45, 140), ("plain", "plain", "plain", "checked", "star", "striped"),
        {"sole": ("Rubber", "Cushioned foam"), "closure": ("Laces",)},
        "with a cushioned sole for long days on foot", "缓震鞋底，久走不累",
        ("Comfortable from the first day.", "Great grip, and light."), "Narrow at the toes.", sizes=("39", "41", "43"), detail=(560, 480, 420),
    ),
    Kind(
        "hat", draw_clothing.hat, True, ("Accessories", "Hats"),
        (("brimmed hat", "宽檐帽"), ("bobble hat", "毛球帽"), ("baseball cap", "棒球帽")),
        (_FELT, _STRAW, _COTTON), (15, 60), ("plain", "plain", "striped", "checked", "dotted"),
        {"season": ("All year", "Winter", "Summer")},
        "for sun, wind and cold ears", "遮阳保暖，四季可戴",
        ("Fits well and looks smart.", "Warm without itching."), "A bit tight for a big head.", sizes=(), detail=(500, 460, 420),
    ),
    Kind(
        "sca", draw_clothing.scarf, False, ("Accessories", "Scarves"),
        (("scarf", "围巾"),),
        (_KNIT, Material("cashmere blend", "羊绒混纺", "knit", 0.03)), (22, 85), ("plain", "striped", "checked", "dotted", "chevron", "plain"),
        {"length": ("160 cm", "180 cm"), "care": ("Hand wash",)},
        "with fringed ends, warm and light", "流苏边，温暖轻柔",
        ("So soft, and warm enough for January.", "The colours are lovely."), "It pilled after a month.", detail=(500, 330, 380),
    ),
    Kind(
        "bac", draw_bags.backpack, True, ("Bags & Luggage", "Backpacks"),
        (("daypack backpack", "双肩背包"), ("roll-top backpack", "卷盖背包"), ("buckle backpack", "翻盖背包")),
        (_CANVAS, _NYLON), (38, 130), ("plain", "plain", "two-tone", "leaf", "star", "checked", "wave"),
        {"volume": ("18 l", "22 l", "28 l"), "laptop": ("Up to 15 inches",)},
        "with a padded laptop sleeve and room for a day's things", "内置电脑隔层，容量充足",
        ("Plenty of room, and it sits well on the back.", "Survived a week of rain."), "The side pockets are shallow.", detail=(500, 620, 400),
    ),
    Kind(
        "bag", draw_bags.handbag, True, ("Bags & Luggage", "Handbags"),
        (("tote bag", "托特包"), ("flap handbag", "翻盖手提包"), ("bowling bag", "保龄球包")),
        (_LEATHER, _CANVAS, _SUEDE), (40, 190), ("plain", "plain", "plain", "striped", "checked", "floral"),
        {"closure": ("Zip", "Magnetic snap"), "lining": ("Cotton",)},
        "that goes from the office to dinner", "通勤与晚餐皆宜",
        ("Beautifully made, the stitching is perfect.", "Roomy, and goes with everything."), "The strap is a bit short.", detail=(500, 480, 400),
    ),
    Kind(
        "wat", draw_things.watch, False, ("Accessories", "Watches"),
        (("wristwatch", "手表"), ("chronograph watch", "计时手表"), ("digital watch", "电子表")),
        (_LEATHER, _CANVAS, Material("silicone", "硅胶", "", 0.12)), (45, 260), ("plain", "plain", "plain", "plain", "striped", "two-tone"),
        {"movement": ("Quartz", "Automatic"), "water resistance": ("5 bar", "3 bar")},
        "with a clear dial and a comfortable strap", "表盘清晰，表带舒适",
        ("Keeps time to the second.", "Looks far more expensive than it is."), "The strap needed an extra hole.", detail=(500, 500, 420),
    ),
    Kind(
        "sun", draw_things.sunglasses, True, ("Accessories", "Sunglasses"),
        (("round sunglasses", "圆框太阳镜"), ("square sunglasses", "方框太阳镜"), ("aviator sunglasses", "飞行员太阳镜"), ("cat-eye sunglasses", "猫眼太阳镜")),
        (_ACETATE, Material("recycled acetate", "再生板材", "", 0.36)), (20, 130), ("plain", "plain", "two-tone", "speckled", "plain"),
        {"lens": ("Polarised", "UV400")},
        "with lenses that block all ultraviolet light", "镜片可阻挡全部紫外线",
        ("Sturdy, and they do not slip.", "Good lenses, no more squinting."), "Came without a case.", detail=(320, 500, 360),
    ),
    Kind(
        "hea", draw_things.headphones, True, ("Electronics", "Audio", "Headphones"),
        (("over-ear headphones", "头戴式耳机"), ("wireless headphones", "无线耳机"), ("gaming headset", "游戏耳机")),
        (_ALUMINIUM, _SHELL), (39, 260), ("plain",),
        {"battery": ("30 hours", "40 hours"), "connection": ("Bluetooth 5.3", "USB-C")},
        "with deep bass and soft ear cushions", "低音浑厚，耳垫柔软",
        ("Great sound and the noise cancelling works.", "I forget that I am wearing them."), "The app is confusing.", detail=(740, 650, 380),
    ),
    Kind(
        "umb", draw_things.umbrella, True, ("Accessories", "Umbrellas"),
        (("umbrella", "雨伞"), ("stick umbrella", "长柄雨伞"), ("storm umbrella", "防风雨伞")),
        (_NYLON, Material("pongee", "碰击布", "", 0.1)), (15, 48), ("plain", "plain", "striped", "dotted", "floral", "checked", "star"),
        {"frame": ("Fibreglass", "Steel"), "opening": ("Automatic", "Manual")},
        "that stands up to wind and rain", "抗风防雨",
        ("Did not turn inside out in a storm.", "Pretty enough to hope for rain."), "Drips for a long time.", detail=(500, 340, 440),
    ),
    Kind(
        "not", draw_things.notebook, False, ("Office & Stationery", "Notebooks"),
        (("notebook", "笔记本"), ("spiral notebook", "线圈笔记本"), ("label notebook", "标签笔记本")),
        (Material("cloth-bound", "布面", "fabric", 0.04), _LEATHER, Material("paperback", "纸面", "", 0.06)), (6, 28),
        ("plain", "plain", "striped", "dotted", "floral", "geometric", "leaf", "wave"),
        {"paper": ("Dotted, 100 g/m²", "Ruled, 90 g/m²", "Blank, 100 g/m²"), "pages": ("160", "192")},
        "with paper that takes ink without bleeding", "纸张厚实，不洇墨",
        ("The paper is a joy to write on.", "Lies flat when open."), "Wish it had more pages.", sizes=(), detail=(500, 460, 420),
    ),
    Kind(
        "gui", draw_things.guitar, False, ("Music", "Instruments", "Guitars"),
        (("acoustic guitar", "木吉他"), ("electric guitar", "电吉他"), ("ukulele", "尤克里里")),
        (_SPRUCE, Material("maple", "枫木", "wood", 0.34), Material("mahogany", "桃花心木", "wood", 0.3)), (70, 520),
        ("plain", "plain", "plain", "plain", "ombre", "star"),
        {"strings": ("Steel", "Nylon"), "level": ("Beginner", "Intermediate")},
        "with a warm tone that is easy on new fingers", "音色温暖，适合初学者",
        ("Stays in tune and sounds full.", "My daughter practises every day now."), "The action was high out of the box.",
        shades=("Tan", "Brown", "Orange", "Red", "Burgundy", "Black", "Navy Blue", "Teal", "White", "Mustard Yellow"), detail=(400, 640, 400),
    ),
    Kind(
        "sui", draw_bags.suitcase, True, ("Bags & Luggage", "Suitcases"),
        (("cabin suitcase", "登机箱"), ("slim trolley suitcase", "轻便拉杆箱"), ("vintage suitcase", "复古手提箱")),
        (_SHELL, _ALUMINIUM, _LEATHER), (70, 290), ("plain", "plain", "plain", "two-tone", "striped", "geometric"),
        {"volume": ("36 l", "40 l", "62 l"), "lock": ("TSA lock",)},
        "with quiet wheels and a lining that keeps shirts flat", "静音滚轮，内衬平整",
        ("Rolls silently and fits the cabin.", "Took a beating and shows nothing."), "Scratches easily.", detail=(500, 420, 420),
    ),
)  # fmt: skip
"""Twenty-two kinds, each a category of its own."""
