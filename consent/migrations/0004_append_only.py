from django.db import migrations

from audit.append_only import AppendOnly


class Migration(migrations.Migration):
    dependencies = [("consent", "0003_initial")]
    operations = [
        AppendOnly("ConsentEvent"),
        AppendOnly("PolicyVersion", when="OLD.published_at IS NOT NULL"),  # a draft may change, what was published never
    ]
