"""Reports: SVG charts, HTML pages and formatted figures. Pure: plain values in, text out.

A page is a template in `templates/` that extends `page.html`; its values are escaped.
"""
