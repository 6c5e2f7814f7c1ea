"""Pairs of different pictures, at least eight of each kind: neither may go for the other."""

import io
import random

import cv2
import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFile, ImageFilter

from py_image_dedup.inspection.inspect import inspect
from py_image_dedup.model.inspection import Outcome
from tests.inspection.pictures import (
    amounts,
    encoded,
    exposed,
    font,
    invoice,
    moment,
    read,
    reopened,
    saved,
    scanned,
    scene,
    words,
)
from tests.support.photographs import photograph

SEEDS = range(8)
BURST = (480, 360)
"""Width and height of what a sensor exposes, pixels."""


def a_place(picture, seed, width, height):
    """A place with something in it, so that hiding it loses something."""
    rng = np.random.default_rng([seed, 5])
    grey = np.asarray(picture.convert("L")).astype(np.float32)
    best, found = -1.0, (0, 0)
    for _ in range(40):
        x = int(rng.integers(8, picture.width - width - 8))
        y = int(rng.integers(8, picture.height - height - 8))
        busy = float(grey[y : y + height, x : x + width].std())
        if busy > best:
            best, found = busy, (x, y)
    return (*found, found[0] + width, found[1] + height)


def another_figure_on_an_invoice(seed):
    return [saved(invoice(seed, total), quality=85) for total in amounts(seed)]


def another_figure_on_a_scan(seed):
    pages = [scanned(invoice(seed, total), 2 * seed + number) for number, total in enumerate(amounts(seed))]
    return [saved(page, quality=75) for page in pages]


def another_figure_on_a_reduced_page(seed):
    one, two = (invoice(seed, total) for total in amounts(seed))
    return saved(one, quality=85), saved(two.resize((504, 630), Image.Resampling.LANCZOS), quality=75)


def another_quote_over_one_picture(seed):
    cards = [scene(3), scene(3)]
    for number, card in enumerate(cards):
        for row in range(2):
            text = words(100 * number + 10 * seed + row, 3)
            ImageDraw.Draw(card).text((40, 110 + 60 * row), text, font=font(30), fill="white", stroke_width=1,
                                      stroke_fill="black")  # fmt: skip
    return [saved(card) for card in cards]


def another_subtitle(seed):
    frames = [scene(seed), scene(seed)]
    for number, frame in enumerate(frames):
        ImageDraw.Draw(frame).text((260, 350), words(seed + 50 * number, 4), font=font(18), fill="white", anchor="mm")
    return [saved(frame, quality=75) for frame in frames]


def a_subtitle_on_a_reduced_frame(seed):
    frame = scene(seed, (960, 540))
    written = frame.copy()
    ImageDraw.Draw(written).text((480, 500), words(seed, 4), font=font(30), fill="white", anchor="mm",
                                 stroke_width=1, stroke_fill="black")  # fmt: skip
    return saved(frame, quality=80), saved(written.resize((480, 270), Image.Resampling.LANCZOS), quality=70)


def closed_eyes(seed):
    frames = []
    x, y, _, _ = a_place(scene(seed), seed, 90, 110)
    for closed in (False, True):
        frame = scene(seed)
        draw = ImageDraw.Draw(frame)
        draw.ellipse((x, y, x + 80, y + 100), fill=(205, 165, 140))
        for eye in (x + 24, x + 56):
            if closed:
                draw.line((eye - 8, y + 42, eye + 8, y + 43), fill=(120, 80, 65), width=2)
            else:
                draw.ellipse((eye - 8, y + 36, eye + 8, y + 46), fill=(240, 238, 235))
                draw.ellipse((eye - 4, y + 36, eye + 4, y + 46), fill=(60, 40, 30))
        frames.append(frame.filter(ImageFilter.GaussianBlur(0.6)))
    return [saved(frame, quality=88) for frame in frames]


def a_moved_chess_piece(seed):
    chooser = random.Random(seed)
    places = chooser.sample(range(64), 18)
    free = [place for place in range(64) if place not in places]
    boards = []
    for moved in (False, True):
        board = Image.new("RGB", (480, 480))
        draw = ImageDraw.Draw(board)
        for square in range(64):
            x, y = 60 * (square % 8), 60 * (square // 8)
            draw.rectangle((x, y, x + 59, y + 59), fill=("#f0d9b5", "#b58863")[(square % 8 + square // 8) % 2])
        for number, place in enumerate([free[seed], *places[1:]] if moved else places):
            x, y = 60 * (place % 8) + 30, 60 * (place // 8) + 30
            draw.ellipse((x - 17, y - 17, x + 17, y + 17), fill=("white", "#222")[number % 2], outline="black")
        boards.append(board)
    return [saved(board, quality=80) for board in boards]


def a_moved_ball(seed):
    frames = [scene(seed), scene(seed)]
    for number, frame in enumerate(frames):
        x = 90 + 40 * number + 20 * seed
        ImageDraw.Draw(frame).ellipse((x, 180, x + 18, 198), fill=(225, 120, 50))
    return saved(frames[0]), saved(frames[1], quality=80)


def a_light_that_is_on(seed):
    dark = scene(seed).point(lambda value: int(value * 0.4))
    x, y, _, _ = a_place(dark, seed, 40, 40)
    spot = np.zeros((dark.height, dark.width), dtype=np.float32)
    spot[y + 18 : y + 22, x + 18 : x + 22] = 1
    glow = cv2.GaussianBlur(spot, (0, 0), 5)
    light = glow / glow.max() * 150 + spot * 100
    lit = np.clip(np.asarray(dark) + light[..., None] * np.array([1, 0.95, 0.7]), 0, 255).astype(np.uint8)
    return saved(dark, quality=88), saved(Image.fromarray(lit), quality=88)


def a_mosaic(seed):
    whole = scene(seed)
    hidden, box = whole.copy(), a_place(whole, seed, 72, 60)
    small = whole.crop(box).resize((6, 5), Image.Resampling.BOX)
    hidden.paste(small.resize((72, 60), Image.Resampling.NEAREST), box[:2])
    return saved(whole, quality=88), saved(hidden, quality=92)


def a_blurred_region(seed):
    whole = scene(seed)
    hidden, box = whole.copy(), a_place(whole, seed, 80, 70)
    hidden.paste(whole.crop(box).filter(ImageFilter.GaussianBlur(7)), box[:2])
    return saved(whole, quality=88), saved(hidden, quality=92)


def a_black_bar(seed):
    whole = scene(seed)
    hidden = whole.copy()
    hidden.paste((0, 0, 0), a_place(whole, seed, 70, 16))
    return saved(whole, quality=88), saved(hidden, quality=92)


def an_erased_object(seed):
    with_it = scene(seed)
    left, top, right, bottom = a_place(with_it, seed, 46, 46)
    ImageDraw.Draw(with_it).ellipse((left, top, right, bottom), fill=(180, 60, 50), outline=(30, 30, 90), width=4)
    mask = np.zeros((with_it.height, with_it.width), dtype=np.uint8)
    mask[top - 3 : bottom + 4, left - 3 : right + 4] = 255
    without = Image.fromarray(cv2.inpaint(np.asarray(with_it), mask, 4, cv2.INPAINT_TELEA))
    return saved(with_it), saved(without, quality=88)


def an_erased_detail_of_a_small_copy(seed):
    """A tenth of a per cent of a photo that was saved roughly and reduced: most of what differs beyond rounding."""
    for number in range(40 + 10 * seed, 50 + 10 * seed):
        whole = photograph(number, 360, 270)
        left, top, right, bottom = a_place(whole, seed, 20, 20)
        mask = np.zeros((whole.height, whole.width), dtype=np.uint8)
        mask[top:bottom, left:right] = 255
        without = cv2.inpaint(np.asarray(whole), mask, 3, cv2.INPAINT_TELEA)
        if (np.abs(np.asarray(whole).astype(int) - without).max(axis=2) > 30).sum() > 64:
            break
    small = Image.fromarray(without).resize((180 + 9 * seed, 135 + 7 * seed), KERNELS[seed % 4])
    return saved(whole, quality=50), saved(small, quality=(50, 60, 75)[seed % 3])


def a_grey_lower_part(seed):
    whole = scene(seed)
    damaged = whole.copy()
    damaged.paste((128, 128, 128), (0, int(whole.height * (0.96 - 0.1 * seed)), *whole.size))
    return saved(whole, quality=88), saved(damaged, quality=95)


def a_copy_that_broke_off(seed):
    content = encoded(scene(seed), quality=88)
    broken = io.BytesIO(content[: int(len(content) * (0.94 - 0.08 * seed))])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", True)
        damaged = Image.open(broken).convert("RGB")
    return read(content), saved(damaged, quality=95)


def other_white_text_on_a_transparent_ground(seed):
    labels = []
    for number in range(2):
        label = Image.new("RGBA", (400, 160), (255, 255, 255, 0))
        ImageDraw.Draw(label).text((20, 60), words(seed + 30 * number, 3), font=font(30), fill="white")
        labels.append(saved(label, "PNG"))
    return labels


def a_flattened_cut_out(seed):
    cut = scene(seed)
    alpha = Image.new("L", cut.size, 0)
    ImageDraw.Draw(alpha).ellipse((40, 20, 470 - 10 * seed, 360), fill=255)
    flat = Image.new("RGB", cut.size, "white")
    flat.paste(cut, mask=alpha)
    cut.putalpha(alpha)
    return saved(cut, "PNG"), saved(flat, "PNG")


def an_animation_and_its_first_frame(seed):
    frames = [scene(seed + number, (240, 180)) for number in range(4)]
    kind = ("GIF", "WEBP")[seed % 2]
    moving = saved(frames[0], kind, save_all=True, append_images=frames[1:], duration=80)
    return moving, saved(frames[0].resize((480, 360)), quality=95)


def animations_with_another_last_frame(seed):
    frames = [scene(seed + number, (240, 180)) for number in range(4)]
    others = [*frames[:3], scene(seed + 50, (240, 180))]
    kind = ("GIF", "WEBP", "PNG")[seed % 3]
    return [saved(film[0], kind, save_all=True, append_images=film[1:], duration=80) for film in (frames, others)]


def scans_with_another_last_page(seed):
    pages = [invoice(10 * seed + number, f"10{number}4.50") for number in range(3)]
    others = [*pages[:2], invoice(10 * seed + 2, "1074.50")]
    return [saved(scan[0], "TIFF", save_all=True, append_images=scan[1:]) for scan in (pages, others)]


def pages_and_their_cover(seed):
    pages = [scene(seed + number) for number in range(3)]
    scan = saved(pages[0], "TIFF", save_all=True, append_images=pages[1:])
    return scan, saved(pages[0].resize((1040, 760)), quality=95)


def a_burst_in_daylight(seed):
    still = scene(seed, BURST)
    return [saved(exposed(still, 100 * seed + n, (9000, 3000)[seed % 2]), quality=92) for n in range(2)]


def a_burst_indoors(seed):
    still = scene(seed, BURST)
    return [saved(exposed(still, 100 * seed + n, 900), quality=(85, 90, 95)[seed % 3]) for n in range(2)]


def a_hand_held_burst(seed):
    still = np.asarray(scene(seed, BURST))
    shots = []
    for number in range(2):
        move = np.array([[1, 0, 2.4 * number], [0, 1, -1.3 * number]])
        moved = cv2.warpAffine(still, move, BURST, flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT)
        shots.append(saved(exposed(Image.fromarray(moved), 100 * seed + number, 2000)))
    return shots


def a_bracket(seed):
    still = scene(seed, BURST)
    return [
        saved(exposed(still, 100 * seed + n, 3000, gain), exif=moment("2020:01:01 10:00:00", 0.01 * gain))
        for n, gain in enumerate((1, 0.5))
    ]


def a_bracket_without_exif(seed):
    still = scene(seed, BURST)
    return [saved(exposed(still, 100 * seed + n, 3000, gain), quality=92) for n, gain in enumerate((1, 0.55))]


def frames_of_a_webcam(seed):
    still = scene(seed, BURST)
    return [saved(exposed(still, 100 * seed + number, 500), quality=80) for number in range(2)]


def frames_of_a_webcam_by_its_clock(seed):
    still = scene(seed, BURST)
    return [
        saved(exposed(still, 100 * seed + n, 1500), quality=75, exif=moment(f"2020:01:02 10:{15 * n:02}:00"))
        for n in range(2)
    ]


def somebody_who_walks_into_the_picture(seed):
    frames = [scene(seed, BURST), scene(seed, BURST)]
    left, top, _, _ = a_place(frames[1], seed, 40, 90)
    draw = ImageDraw.Draw(frames[1])
    draw.rectangle((left + 4, top + 20, left + 26, top + 80), fill=(60, 70, 90))
    draw.ellipse((left + 6, top, left + 24, top + 20), fill=(190, 150, 120))
    return [saved(exposed(frame, 10 * seed + n, 4000), quality=85) for n, frame in enumerate(frames)]


def another_bar_of_a_chart(seed):
    chooser = random.Random(seed)
    heights = [chooser.randint(60, 200) for _ in range(8)]
    charts = []
    for number in range(2):
        chart = Image.new("RGB", (560, 300), "white")
        draw = ImageDraw.Draw(chart)
        for place, height in enumerate(heights):
            more = 9 * number * (place == seed % 8)
            draw.rectangle((40 + 60 * place, 270 - height - more, 75 + 60 * place, 270), fill="#4477aa")
        charts.append(chart)
    return saved(charts[0], quality=85), saved(charts[1], "PNG")


def another_colour_of_a_stamp(seed):
    sheets = []
    for colour in ((200, 40, 40), (40, 95, 200)):
        sheet = invoice(seed, "100.00").convert("RGB")
        ImageDraw.Draw(sheet).ellipse((500, 790, 560, 850), fill=colour)
        sheets.append(saved(sheet, quality=80))
    return sheets


def another_box_that_is_ticked(seed):
    sheets = []
    for number in range(2):
        sheet = invoice(seed, "100.00")
        draw = ImageDraw.Draw(sheet)
        for box in range(6):
            draw.rectangle((60 + 60 * box, 800, 76 + 60 * box, 816), outline=0)
        left = 60 + 60 * ((seed + number) % 6)
        draw.line((left + 2, 802, left + 14, 814), fill=0, width=2)
        draw.line((left + 14, 802, left + 2, 814), fill=0, width=2)
        sheets.append(saved(sheet, quality=80))
    return sheets


def another_figure_on_a_small_page(seed):
    """A page of 300 to 650 pixels against a reduced copy, with figures of 7 pixels in the smaller file."""
    share = 0.6 + 0.04 * seed
    width, size = 300 + 50 * seed, round(10 / share)
    pages = []
    for total in amounts(seed):
        page = Image.new("L", (width, round(width * 0.7)), 255)
        draw = ImageDraw.Draw(page)
        for row in range(page.height // (2 * size) - 1):
            draw.text(
                (size, size + 2 * row * size), words(20 * seed + row, width // (8 * size)), font=font(size), fill=0
            )
        draw.text((width - 6, page.height - 2 * size), total, font=font(size), fill=0, anchor="ra")
        pages.append(page)
    small = pages[1].resize((round(width * share), round(pages[1].height * share)), KERNELS[seed % 4])
    return saved(pages[0], quality=85), saved(small, quality=75)


def another_figure_on_a_turned_page(seed):
    one, two = (invoice(seed, total) for total in amounts(seed))
    turn = (Image.Transpose.ROTATE_90, Image.Transpose.ROTATE_180)[seed % 2]
    return saved(one, quality=85), saved(two.resize((576, 720), Image.Resampling.BICUBIC).transpose(turn), quality=75)


def a_small_paste(seed):
    """A square of 8 to 32 pixels of another place of the same photo."""
    whole, side = scene(seed, BURST), (8, 12, 16, 32)[seed % 4]
    x, y, _, _ = a_place(whole, seed, side, side)
    grey = np.asarray(whole.convert("L")).astype(float)
    here, sources = grey[y : y + side, x : x + side], [(16 * n % 440, 40 * n % 320) for n in range(28)]
    left, top = max(sources, key=lambda at: np.abs(grey[at[1] : at[1] + side, at[0] : at[0] + side] - here).mean())
    pasted = whole.copy()
    pasted.paste(whole.crop((left, top, left + side, top + side)), (x, y))
    return saved(whole, quality=88), saved(pasted, quality=80)


def a_flipped_bit(seed):
    """One bit of the compressed data; a restart marker ends the damage some blocks later."""
    content = encoded(scene(seed, BURST), quality=88, restart_marker_blocks=(4, 8, 16, 40)[seed % 4])
    whole, chooser = reopened(content), random.Random(seed)
    start = content.rindex(b"\xff\xda") + 20
    while True:
        place = chooser.randrange(start, len(content) - 20)
        damaged = content[:place] + bytes([content[place] ^ (1 << seed % 8)]) + content[place + 1 :]
        if 255 in damaged[place - 1 : place + 2]:
            continue
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", True)
            shown = reopened(damaged)
        if (np.abs(np.asarray(shown).astype(int) - np.asarray(whole)).max(axis=2) > 14).sum() > 64:
            return read(content), saved(shown, quality=92)


def another_colour_only(seed):
    """A disc with the brightness of the ground and another colour."""
    whole = scene(seed, BURST)
    planes = np.array(whole.convert("YCbCr")).astype(np.float32)
    mask = np.zeros(planes.shape[:2], dtype=np.float32)
    cv2.circle(mask, (60 + 45 * seed, 60 + 30 * seed), 8 + seed, 1, -1)
    for channel, sign in ((1, 1), (2, -1)):
        planes[..., channel] += 45 * sign * mask * np.where(planes[..., channel] * sign > 128 * sign, -1, 1)
    dyed = Image.fromarray(np.clip(planes, 0, 255).astype(np.uint8), "YCbCr").convert("RGB")
    return saved(whole, quality=88), saved(dyed.resize((360, 270)) if seed % 2 else dyed, quality=80)


def another_hole_in_the_opacity(seed):
    files = []
    for number in range(2):
        cut = scene(seed, (240, 180))
        alpha = Image.new("L", cut.size, 255)
        ImageDraw.Draw(alpha).ellipse((20, 20, 60, 60), fill=0)
        if number:
            ImageDraw.Draw(alpha).ellipse((90 + 10 * seed, 90, 106 + 10 * seed, 106), fill=0)
        cut.putalpha(alpha)
        files.append(saved(cut, "PNG", compress_level=1))
    return files


def a_burst_of_which_one_frame_was_reduced(seed):
    still = scene(seed, (640, 480))
    one, two = (exposed(still, 100 * seed + number, 2000) for number in range(2))
    share = 0.5 + 0.05 * seed
    small = two.resize((round(640 * share), round(480 * share)), KERNELS[seed % 4])
    return saved(one, quality=92), saved(small, quality=(85, 92)[seed % 2])


def a_reduced_burst_by_its_clock(seed):
    still = scene(seed, BURST)
    one, two = (exposed(still, 100 * seed + number, 3000) for number in range(2))
    small = two.resize((288 + 12 * seed, 216 + 9 * seed), KERNELS[seed % 4])
    return (
        saved(one, quality=90, exif=moment("2020:01:01 10:00:00")),
        saved(small, quality=80, exif=moment("2020:01:01 10:00:01")),
    )


def frames_of_a_webcam_at_two_qualities(seed):
    still = scene(seed, BURST)
    return tuple(saved(exposed(still, 300 * seed + number, 400), quality=(70, 80)[number]) for number in range(2))


KERNELS = (Image.Resampling.LANCZOS, Image.Resampling.BICUBIC, Image.Resampling.BILINEAR, Image.Resampling.BOX)


DIFFERENT = [
    another_figure_on_a_small_page, another_figure_on_a_turned_page, a_small_paste, a_flipped_bit, another_colour_only,
    another_hole_in_the_opacity, a_burst_of_which_one_frame_was_reduced, a_reduced_burst_by_its_clock,
    another_figure_on_an_invoice, another_figure_on_a_scan, another_figure_on_a_reduced_page,
    another_quote_over_one_picture, another_subtitle, a_subtitle_on_a_reduced_frame, closed_eyes, a_moved_chess_piece,
    a_moved_ball, a_light_that_is_on, a_mosaic, a_blurred_region, a_black_bar, an_erased_object,
    an_erased_detail_of_a_small_copy, a_grey_lower_part,
    a_copy_that_broke_off, other_white_text_on_a_transparent_ground, a_flattened_cut_out,
    an_animation_and_its_first_frame, animations_with_another_last_frame, scans_with_another_last_page,
    pages_and_their_cover, a_burst_in_daylight, a_burst_indoors, a_hand_held_burst, a_bracket, a_bracket_without_exif,
    frames_of_a_webcam, frames_of_a_webcam_at_two_qualities, frames_of_a_webcam_by_its_clock,
    somebody_who_walks_into_the_picture, another_bar_of_a_chart,
    another_colour_of_a_stamp, another_box_that_is_ticked,
]  # fmt: skip


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("kind", DIFFERENT, ids=lambda kind: kind.__name__)
def test_neither_of_two_different_pictures_may_go(kind, seed):
    one, two = kind(seed)
    for keeper, other in ((one, two), (two, one)):
        found = inspect(keeper, other)
        assert not found.is_removable, found.reason


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("kind", [a_grey_lower_part, a_black_bar], ids=lambda kind: kind.__name__)
def test_what_hides_or_is_missing_makes_the_other_file_the_original(kind, seed):
    whole, damaged = kind(seed)
    found = inspect(damaged, whole)
    assert found.outcome in {Outcome.EDITED, Outcome.DIFFERENT}
    assert found.original.side.value == "right"
    assert found.original.sure
