"""What reports are made of: SVG charts, HTML pages and figures for people. Pure: plain values in, text out.

A page is a template in `templates/` that extends `page.html`; the values it shows are escaped, wherever they are from.
"""
