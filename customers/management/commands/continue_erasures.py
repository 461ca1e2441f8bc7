"""Goes on with every erasure that is under way, as the workers do each minute."""

from django.core.management.base import BaseCommand

from customers.erasure import carry_on
from customers.models import Erasure


class Command(BaseCommand):
    help = __doc__

    def handle(self, **options):
        done = [carry_on(erasure) for erasure in Erasure.objects.under_way()]
        self.stdout.write(f"{sum(done)} done, {len(done) - sum(done)} wait.")
