"""The page: what is put in is there, in one file, and nothing in it is taken for markup."""

import base64
from html.parser import HTMLParser

import pytest

from mmlt.visualization import Picture, Table, html_page

VOID = {'meta', 'img'}


class Page(HTMLParser):
    """Tags, texts and attributes of a page; refuses tags that are not closed in turn."""

    def __init__(self, text):
        super().__init__()
        self.open, self.tags, self.texts = [], [], {}
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and data.strip():
            self.texts.setdefault(self.open[-1], []).append(data)


def test_parts_come_in_their_order():
    table = Table(
        ['model', 'few', 'all'], [['CE', '41.20', '70.00'], ['BCL', '-', '71.50']], 'in %'
    )
    page = Page(html_page('Title', {'': ['First.'], 'Second': [table, 'Third.']}))
    assert page.texts['title'] == page.texts['h1'] == ['Title']
    assert page.texts['p'] == ['First.', 'Third.']
    assert page.texts['h2'] == ['Second']
    assert page.texts['th'] == ['model', 'few', 'all', 'CE', 'BCL']
    assert page.texts['td'] == ['41.20', '70.00', '-', '71.50']
    assert page.texts['caption'] == ['in %']


def test_pictures_are_in_the_page():
    page = Page(html_page('t', {'': [Picture(b'\x89PNG\r\n', 'Angles, "few" < many.')]}))
    (image,) = [attrs for tag, attrs in page.tags if tag == 'img']
    kind, data = image['src'].split(',')
    assert kind == 'data:image/png;base64'
    assert base64.b64decode(data) == b'\x89PNG\r\n'
    assert image['alt'] == page.texts['figcaption'][0] == 'Angles, "few" < many.'


def test_texts_are_not_taken_for_markup():
    evil = '<script src="https://example.org/x.js"></script> & "'
    parts = [evil, Table([evil], [[evil]], evil), Picture(b'', evil)]
    page = Page(html_page(evil, {evil: parts}))
    assert not {'script', 'link'} & {tag for tag, _ in page.tags}
    for tag in ('title', 'h1', 'h2', 'p', 'th', 'caption', 'figcaption'):
        assert set(page.texts[tag]) == {evil}


@pytest.mark.parametrize(
    ('part', 'error', 'message'),
    [
        (Table(['a', 'b'], [['1']]), ValueError, r"a cell for each of 2 columns, got \['1'\]"),
        (3, TypeError, 'must be a str, a Table or a Picture, got int'),
    ],
)
def test_bad_parts_are_refused(part, error, message):
    with pytest.raises(error, match=message):
        html_page('t', {'': [part]})
