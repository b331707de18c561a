# DBM-BS through LIFT on scikit-learn's digits, imbalance 50.
#
#   python tools/train.py configs/lift/dbm-lift_vit-tiny_digits-lt.py
_base_ = './lift_vit-tiny_digits-lt.py'

model = dict(head=dict(type='DBMHead', scale=25.0, max_margin=0.1))
